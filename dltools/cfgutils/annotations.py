"""From a field's annotation to what pydantic validates, and from its errors to ours."""

from __future__ import annotations

import contextlib
import math
import reprlib
import types
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, ConfigDict, InstanceOf, PlainValidator, Strict, TypeAdapter, WithJsonSchema
from pydantic_core import ValidationError

from dltools._plain import FrozenMap
from dltools.cfgutils.values import Space
from dltools.errors import ConfigProblems, Place, did_you_mean

Unit = Annotated[float, Ge(0), Le(1)]
"""A share, 0 to 1."""
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]

STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, validate_default=True)
AnyOf: Any = Annotated  # for annotations that are known only at run time


def strict(annotation: Any) -> Any:
    """The annotation with our rules in it; a search space may stand in the place of every value."""
    made, written = _strict(annotation), WithJsonSchema({"type": "object", "propertyNames": {"pattern": "^[$]"}})
    return made | AnyOf[InstanceOf[Space], AfterValidator(partial(_spread, made)), written]


def _spread(annotation: Any, space: Space) -> Space:
    """A search space is legal where each of its ends or options is."""
    options: Any = types.GenericAlias(tuple, (annotation, ...))
    return Space(space.kind, TypeAdapter(options, config=STRICT).validate_python(space.args))


def _strict(annotation: Any) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    plain = origin or annotation
    if origin is Annotated:
        return AnyOf[_strict(args[0]), *annotation.__metadata__]
    if hasattr(plain, "_decode"):
        return AnyOf[Any, PlainValidator(plain._decode), WithJsonSchema({"x-record": plain})]
    if plain is float:
        return Annotated[float, Ge(-math.inf)]  # which NaN is not
    if plain is Path or (isinstance(plain, type) and issubclass(plain, Enum)):
        return AnyOf[annotation, Strict(False)]
    if origin in (Union, types.UnionType):
        return reduce(or_, map(_strict, args))
    if plain in (tuple, list, Sequence):
        parts = args if plain is tuple and args else (*(args or (Any,)), ...)
        return types.GenericAlias(tuple, tuple(part if part is ... else strict(part) for part in parts))
    if plain in (dict, Mapping):
        key, value = args or (Any, Any)
        lax = Annotated[int, Strict(False)] if key is int else _strict(key)  # the keys of a JSON object are strings
        return AnyOf[types.GenericAlias(dict, (lax, strict(value))), AfterValidator(FrozenMap)]
    return annotation


def problems_of(error: ValueError, given: Any = None, names: Iterable[str] = ()) -> Mapping[Place, str]:
    """What an error says, by path; pydantic's in our words, where ``names`` are the legal keys of ``given``."""
    if not isinstance(error, ValidationError):
        return error.problems if isinstance(error, ConfigProblems) else {(): str(error)}
    found: dict[Place, dict[str, None]] = {}
    for detail in error.errors(include_url=False):
        context = detail.get("ctx", {})
        if context.get("class") == "Space" or isinstance(detail["input"], Space):
            continue  # every value may also be a search space, and that one names its own mistakes
        value, place = {**dict.fromkeys(names), **given}, list[str]()
        for step in detail["loc"]:
            with contextlib.suppress(LookupError, TypeError):  # pydantic's steps into a union: the input has none
                value = value[step]
                place.append(str(step))
        text = f"got {reprlib.repr(detail['input'])}; {detail['msg'][:1].lower()}{detail['msg'][1:]}"
        if detail["type"] == "unexpected_keyword_argument":
            text = f"unknown; {did_you_mean(place[-1], names)}"
        elif detail["type"].startswith("missing"):
            text = "required, but not given"
        for path, inner in (problems_of(context["error"]) if "error" in context else {(): text}).items():
            found.setdefault((*place, *path), {})[inner] = None
    mappings = {path[:n] for path in found for n in range(len(path))}  # no need to add that they are no numbers
    return {path: " or ".join(texts) for path, texts in found.items() if path not in mappings}
