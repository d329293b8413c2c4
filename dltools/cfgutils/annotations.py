"""From a field's annotation to what pydantic validates: strict scalars, frozen containers, configs by tag."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import reduce
from math import isnan
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, PlainValidator, Strict, WithJsonSchema, WrapValidator

from dltools.cfgutils.frozen import FrozenMap
from dltools.cfgutils.spaces import Space
from dltools.errors import ConfigError

Unit = Annotated[float, Ge(0), Le(1)]
"""A share, 0 to 1."""
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]


def no_nan(value: float) -> float:
    """Refuse NaN, which equals not even itself."""
    if isnan(value):
        raise ConfigError("got nan; a number is needed")
    return value


def spread(value: Any, validate: Callable[[Any], Any]) -> Any:
    """A search space is legal where each of its ends or options is."""
    return Space(value.kind, tuple(map(validate, value.args))) if isinstance(value, Space) else validate(value)


def strict(annotation: Any, *, spaces: bool) -> Any:
    """The annotation with our rules in it; with ``spaces``, a search space may stand in the place of every value."""
    if annotation is ...:
        return annotation
    made = _strict(annotation, lambda part: strict(part, spaces=spaces))
    return _annotated(made, WrapValidator(spread)) if spaces else made


def _strict(annotation: Any, inner: Callable[[Any], Any]) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    plain = origin or annotation
    if origin is Annotated:
        bare, own = (float, [AfterValidator(no_nan)]) if args[0] is float else (inner(args[0]), [])
        return _annotated(bare, *annotation.__metadata__, *own)
    if hasattr(plain, "_decode"):
        return Annotated[Any, PlainValidator(plain._decode), WithJsonSchema({"x-record": plain})]
    if annotation is float:
        return Annotated[float, AfterValidator(no_nan)]
    if annotation is Path or (isinstance(plain, type) and issubclass(plain, Enum)):
        return _annotated(annotation, Strict(False))
    if origin in (Union, types.UnionType):
        return reduce(or_, map(inner, args))
    if plain in (tuple, list, Sequence):
        parts = args if plain is tuple and args else (*(args or (Any,)), ...)
        return types.GenericAlias(tuple, tuple(map(inner, parts)))
    if plain in (dict, Mapping):
        key, value = args or (Any, Any)
        lax = Annotated[int, Strict(False)] if key is int else inner(key)  # the keys of a JSON object are strings
        return _annotated(types.GenericAlias(dict, (lax, inner(value))), AfterValidator(FrozenMap))
    return annotation


def _annotated(annotation: Any, *metadata: Any) -> Any:
    form: Any = Annotated  # of an annotation that is known only at run time
    return form[(annotation, *metadata)]
