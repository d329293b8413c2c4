"""What a class says of itself: where it stands, its bases, its fields, their annotations and docs."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import sys
import textwrap
import typing
import weakref
from types import FrameType
from typing import Any, get_args

from dltools.errors import ConfigError

_SCOPES: weakref.WeakKeyDictionary[type[Any], FrameType] = weakref.WeakKeyDictionary()


def note_scope(cls: type[Any]) -> None:
    """Remember where a class is being defined; called by its base's ``__init_subclass__``."""
    frame = sys._getframe(1)
    while frame.f_code.co_name == "__init_subclass__" and frame.f_back:
        frame = frame.f_back
    if frame.f_locals is not getattr(sys.modules.get(cls.__module__), "__dict__", None):
        _SCOPES[cls] = frame


def full_name(cls: type[Any]) -> str:
    """Module and name, the same for a local class that is defined again, be it in another function."""
    return f"{cls.__module__}.{cls.__qualname__.rpartition('<locals>.')[2]}"


def base_arguments(cls: type[Any]) -> list[Any]:
    """What stands in the brackets of a class's own bases: ``X`` for ``class A(B[X])``."""
    return [arg for base in vars(cls).get("__orig_bases__", ()) for arg in get_args(base)]


def field_names(cls: type[Any]) -> list[str]:
    """Names of the fields, in the order of their definition."""
    return [field.name for field in dataclasses.fields(cls)]


def scope(cls: type[Any]) -> dict[str, Any]:
    """The names around a class defined inside a function, or in a doctest, whose globals are no module's."""
    return dict(_SCOPES[cls].f_locals) if cls in _SCOPES else {}


def hints(cls: type[Any]) -> dict[str, Any]:
    """The annotations of a class and its bases, evaluated."""
    try:
        return typing.get_type_hints(cls, localns=scope(cls) or None, include_extras=True)
    except NameError as error:
        raise ConfigError(f"{cls.__name__}: {error}", hint="import or define it beside the class") from None


def field_docs(cls: type[Any]) -> dict[str, str]:
    """The string literal under each field, from the source of the class and its bases; empty without a source."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        for field, doc in itertools.pairwise(getattr(body, "body", [])):
            if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
                docs[ast.unparse(field.target)] = inspect.cleandoc(str(doc.value.value))
    return {name: docs[name] for name in field_names(cls) if name in docs}
