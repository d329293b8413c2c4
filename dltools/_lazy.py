"""Packages whose names are imported at first use (PEP 562), listed once for people, checkers and the interpreter."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from dltools.errors import did_you_mean


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose ``if TYPE_CHECKING:`` block lists what it exports.

    A type checker reads that block; at run time it is parsed, not executed, when a name is first asked for. So a
    component costs its package one line, and importing the package loads nothing.
    """
    module = sys.modules[package]

    @cache
    def exports() -> dict[str, tuple[str, str]]:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        blocks = [
            node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        ]
        imports = [node for block in blocks for node in block if isinstance(node, ast.ImportFrom)]
        return {a.asname or a.name: (str(node.module), a.name) for node in imports for a in node.names}

    def __getattr__(name: str) -> Any:
        if name == "__all__":
            return sorted(exports())
        if name.startswith("__") or name not in exports():
            hint = "" if name.startswith("_") else f"; {did_you_mean(name, exports())}"
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")
        home, original = exports()[name]
        # `from dltools import losses`: a subpackage; `from dltools.losses.base import Loss`: a name of a module
        value = (
            importlib.import_module(f"{home}.{original}")
            if home == package
            else getattr(importlib.import_module(home), original)
        )
        setattr(module, name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*exports(), *(name for name in vars(module) if name.startswith("_"))})

    return __getattr__, __dir__
