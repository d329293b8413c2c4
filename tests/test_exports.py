"""What the lazy packages export: every name resolves, is documented and stands there once."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import dltools
from dltools.cfgutils import Config
from dltools.cfgutils.config import members, product_class

ROOT = Path(dltools.__file__).parent
FILES = sorted(file for file in ROOT.rglob("__init__.py") if file.read_text(encoding="utf-8"))
PACKAGES = [".".join(("dltools", *file.parent.relative_to(ROOT).parts)) for file in FILES]
"""Those that export something; a folder of files may have an empty one."""
packages = pytest.mark.parametrize("package", PACKAGES)


def test_every_folder_of_code_is_a_package() -> None:
    assert sorted({file.parent for file in ROOT.rglob("*.py")}) == sorted(f.parent for f in ROOT.rglob("__init__.py"))


@packages
def test_every_exported_name_resolves_and_is_listed_in_order(package: str) -> None:
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(set(module.__all__))
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert {name for name in dir(module) if not name.startswith("_")} == set(module.__all__), "nothing else is public"


@packages
def test_no_exported_name_is_that_of_a_module_beside_it(package: str) -> None:
    """Importing the module would put it in the place of what is exported under its name."""
    module = importlib.import_module(package)
    beside = {one.name for one in pkgutil.iter_modules(module.__path__)}
    assert [name for name in module.__all__ if name in beside and not inspect.ismodule(getattr(module, name))] == []


def test_every_component_is_exported_by_its_area() -> None:
    """With its product or, if that is another library's, alone: what is not exported, no file and no test finds."""
    for one in pkgutil.walk_packages(dltools.__path__, "dltools."):
        if not one.name.endswith("__main__"):
            importlib.import_module(one.name)
    missing = []
    for config in members(Config).values():
        parts = config.__module__.split(".")
        if parts[0] == "dltools":
            area = set(importlib.import_module(".".join(parts[:2])).__all__)
            missing += [name for name in (config.__name__, *_product(config)) if name not in area]
    assert missing == []


def _product(config: type[Config[Any]]) -> list[str]:
    product = product_class(config)
    return [product.__name__] if product.__module__ == config.__module__ else []


@packages
def test_every_exported_name_is_documented(package: str) -> None:
    module = importlib.import_module(package)
    assert undocumented(module, module.__all__) == []


def undocumented(module: object, names: list[str]) -> list[str]:
    """Names of classes, functions and modules without a docstring; a concrete config speaks through its product."""
    found = {name: getattr(module, name) for name in names}
    own = {name: vars(x).get("__doc__") if inspect.isclass(x) else x.__doc__ for name, x in found.items()}
    concrete = {name for name, x in found.items() if inspect.isclass(x) and getattr(x, "tag", "")}
    described = {name for name, x in found.items() if inspect.isclass(x) or inspect.isroutine(x) or inspect.ismodule(x)}
    return [name for name in sorted(described - concrete) if not own[name]]


@packages
def test_an_init_file_lists_exports_and_does_nothing_else(package: str) -> None:
    file = ROOT.joinpath(*package.split(".")[1:], "__init__.py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    block = [node for node in tree.body if isinstance(node, ast.If)]
    rest = [ast.unparse(node) for node in tree.body if not isinstance(node, ast.If)][1:]
    legal = {
        "from typing import TYPE_CHECKING",
        "from dltools._lazy import lazy",
        f"__version__ = {dltools.__version__!r}",
    }
    assert set(rest) <= legal
    assert [ast.unparse(node.test) for node in block] == ["TYPE_CHECKING"]
    # in the other branch, where a type checker does not see a `__getattr__` that would make every misspelt name an Any
    assert [ast.unparse(node) for node in block[0].orelse] == ["__getattr__, __dir__ = lazy(__name__)"]
    imports = [node for found in block for node in found.body]
    assert all(isinstance(node, ast.ImportFrom) for node in imports)
    aliases = [alias for node in imports if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert [alias.name for alias in aliases] == [alias.asname for alias in aliases], "write `import X as X`"
    assert len({alias.name for alias in aliases}) == len(aliases)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"module 'dltools' has no attribute 'cfgutil'; did you mean 'cfgutils'\?"):
        dltools.cfgutil  # noqa: B018  # asking is the test
