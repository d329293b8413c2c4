"""Plain values that nobody changes, and Python source that makes them again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from types import NoneType
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")
PLAIN = frozenset({float, int, str, bool, NoneType})


class FrozenMap(dict[K, V]):
    """A dict that nobody changes, so that it hashes and can be shared.

    >>> FrozenMap(a=1) == {"a": 1}, hash(FrozenMap(a=1, b=2)) == hash(FrozenMap(b=2, a=1))
    (True, True)
    """

    def __hash__(self) -> int:  # type: ignore[override]  # dict declares it None
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:
        return type(self), (dict(self),)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("it is read-only; make a changed copy, of a config with cfg.replace(...) or override(cfg, ...)")


for _name in ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
    setattr(FrozenMap, _name, _refuse)


def freeze(value: Any, found: list[Any]) -> Any:
    """Lists become tuples, mappings FrozenMaps, numpy scalars Python numbers; dataclasses stay, and join ``found``."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        return tuple([freeze(part, found) for part in value])
    if type(value) is not dict and hasattr(value, "__dataclass_fields__"):
        found.append(value)
        return value
    if isinstance(value, (dict, Mapping)):  # dict first: asking an abstract class is slow
        return FrozenMap({key: freeze(part, found) for key, part in value.items()})
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value


def source(value: Any) -> str:
    """Python source that makes the value again: what ``eval(repr(cfg))`` reads.

    >>> source({"a": (1, float("inf"))})
    "{'a': (1, float('inf'))}"
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{source(k)}: {source(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(source, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, PurePath):
        return f"Path({str(value)!r})"
    return f"float('{value}')" if isinstance(value, float) and math.isinf(value) else repr(value)
