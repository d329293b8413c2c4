"""From a field's annotation to what pydantic validates: strict scalars, frozen containers, configs by tag."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, GetCoreSchemaHandler, Strict
from pydantic_core import CoreSchema, core_schema

from dltools.cfgutils.frozen import FrozenMap
from dltools.cfgutils.problems import refuse

Unit = Annotated[float, Ge(0), Le(1)]
"""A share, 0 to 1."""
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]


def no_nan(value: float) -> float:
    """Refuse NaN, which equals not even itself; numpy's floats become Python's."""
    if math.isnan(value):
        raise refuse("got nan; a number is needed")
    return float(value)


NO_NAN = AfterValidator(no_nan)


class Nested:
    """Stands in an annotation for a record: pydantic hands the value over to ``decode``."""

    def __init__(self, record: type[Any], decode: Callable[[type[Any], Any], Any]) -> None:
        self.record: type[Any] = record
        self.decode: Callable[[type[Any], Any], Any] = decode

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(partial(self.decode, self.record))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"x-record": self.record}


def strict(annotation: Any, record: type[Any], decode: Callable[[type[Any], Any], Any]) -> Any:
    """The annotation with our rules in it; ``decode`` takes over what is typed as a subclass of ``record``."""
    origin, args = get_origin(annotation), get_args(annotation)
    plain = origin or annotation

    def inner(part: Any) -> Any:
        return part if part is ... else strict(part, record, decode)

    if origin is Annotated:
        bare, own = (float, [NO_NAN]) if args[0] is float else (inner(args[0]), [])
        return _annotated(bare, *annotation.__metadata__, *own)
    if isinstance(plain, type) and issubclass(plain, record):
        return Annotated[Any, Nested(plain, decode)]
    if annotation is float:
        return _annotated(float, NO_NAN)
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


def hints(cls: type[Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a class and its bases, evaluated; ``scope`` holds the names of the function around it."""
    return typing.get_type_hints(cls, localns=dict(scope) or None, include_extras=True)
