"""Hypothesis strategies for configs, made from the annotations of their fields: no component writes its own."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import strategies as st

from dltools._introspect import field_names, hints
from dltools.cfgutils import Config, Record
from dltools.cfgutils.config import members
from dltools.errors import ConfigError, ConfigProblems

R = TypeVar("R", bound=Record)

REQUIRED: dict[str, Any] = {
    "num_classes": 3,
    "dim": 4,
    "class_counts": (5.0, 2.0, 1.0),
    "num_outputs": 3,
    "max_norm": 1.0,
    "max_value": 1.0,
    "k": 2,
    "things": (1,),
    "sigmas": (0.1, 0.2),
    "num_keypoints": 3,
    "size": 5,
    "min_precision": 0.5,
    "min_recall": 0.5,
    "min_specificity": 0.5,
    "total_steps": 4,
    "name": "Lion",
    "first": 0.0,
    "last": 1.0,
    "steps": 4,
    "values": (0.0, 1.0),
    "boundaries": (2,),
    "milestones": (2,),
    "optimizers": {"a": {"type": "AdamW"}},
    "default": "a",
    "source": "pytorch_optimizer",
    "points": ((0, 1.0), (4, 0.0)),
    "parts": ({"type": "LinearSchedule", "total_steps": 4},),
    "first_steps": 4,
    "period_steps": 4,
    "decay_steps": 4,
    "mean": (0.5,),
    "std": (0.25,),
    "backbone": {"type": "SmallCnn"},
    "heads": {"classes": {"type": "LinearHead", "num_outputs": 3}},
    "image_size": (480.0, 640.0),
    "terms": {"a": {"type": "DiceLoss"}, "b": {"type": "CELoss"}},
}
"""Values for fields without a default; a field that is called alike everywhere is alike everywhere."""
WORDS = ["1e-4", "on", "null", "0x1", "~", "1_000", "12:30", "", " a", ".5", "true", "- x", "a: b", "# a", "é😀"]
WORDS += ["\ttab", "\x85", "many words " * 30]
"""Strings that a careless file format reads as something else."""


def subclasses(cls: type[Any]) -> list[type[Any]]:
    """All of them, at any depth."""
    return [found for child in cls.__subclasses__() for found in (child, *subclasses(child))]


def required(cls: type[Any]) -> list[str]:
    """The fields without a default."""
    absent = dataclasses.MISSING
    return [f.name for f in dataclasses.fields(cls) if f.default is absent and f.default_factory is absent]


def example(cls: type[R]) -> R:
    """A config with its defaults."""
    return cls(**{name: REQUIRED[name] for name in required(cls)})


@st.composite
def configs(draw: st.DrawFn, cls: type[R], depth: int = 2) -> R:
    """A config of a class: from its defaults, some fields changed, each as far as ``__post_init__`` allows it.

    A refusal that names a field is a mistake of this file or of the field's annotation: it is an error.
    """
    cfg, annotations = example(cls), hints(cls)
    for name in draw(st.lists(st.sampled_from(sorted(field_names(cls)) or [""]), unique=True, max_size=6)):
        if name:
            value = draw(values_of(annotations[name], depth - 1))
            try:
                cfg = cfg.replace(**{name: value})
            except ConfigError as error:
                if not isinstance(error, ConfigProblems) or any(error.problems):
                    raise
    return cfg


def values_of(annotation: Any, depth: int = 2) -> st.SearchStrategy[Any]:
    """Every kind of value that a field takes."""
    origin, args = get_origin(annotation), get_args(annotation)
    plain = origin or annotation
    if origin is Annotated:
        return _bounded(args[0], args[1:])
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values_of(arg, depth) for arg in args))
    if plain is tuple:
        if args[-1] is ...:
            return st.lists(values_of(args[0], depth), max_size=3).map(tuple)
        return st.tuples(*(values_of(arg, depth) for arg in args))
    if plain in (dict, Mapping):
        return st.dictionaries(values_of(args[0], depth), values_of(args[1], depth), max_size=3)
    if isinstance(plain, type) and issubclass(plain, Record):
        return _records(plain, depth)
    return _SCALARS[plain]


def _records(cls: type[Any], depth: int) -> st.SearchStrategy[Any]:
    concrete = members(cls).values() if issubclass(cls, Config) else [cls]
    legal = [one for one in concrete if one.__module__.startswith(("dltools.", "tests.cfgutils.families"))]
    return st.sampled_from(legal).flatmap(lambda one: configs(one, depth) if depth > 0 else st.just(example(one)))


def _bounded(base: Any, marks: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    low = next((m for m in marks if isinstance(m, Ge | Gt)), None)
    high = next((m for m in marks if isinstance(m, Le | Lt)), None)
    least: Any = None if low is None else low.ge if isinstance(low, Ge) else low.gt
    most: Any = None if high is None else high.le if isinstance(high, Le) else high.lt
    if base is int:
        return st.integers(least if least is None else least + isinstance(low, Gt), most)
    return st.floats(least, most, allow_nan=False, exclude_min=isinstance(low, Gt), exclude_max=isinstance(high, Lt))


_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    str: st.sampled_from(WORDS) | st.text(max_size=8),
    Path: st.sampled_from(["a", "a/b", ".", "/tmp/x y", "é"]).map(Path),
    types.NoneType: st.none(),
}
