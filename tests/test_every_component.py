"""What holds for every component: one that is added gets these tests for no line of its own."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
from typing import Any

import pytest

from dltools._catalog import KINDS
from dltools.cfgutils import Config, dump, fingerprint, load, schema
from dltools.cfgutils.config import tags

REQUIRED: dict[str, dict[str, Any]] = {
    "Combine": {"terms": {"a": {"type": "DiceLoss"}, "b": {"type": "CELoss"}}},
}
"""Values for fields without a default, by tag; a field that is called alike everywhere stands in COMMON."""
COMMON: dict[str, Any] = {"num_classes": 3, "num_outputs": 3, "max_norm": 1.0, "total_steps": 4}


def every_config() -> list[type[Config[Any]]]:
    for area in KINDS:
        package = importlib.import_module(f"dltools.{area}")
        for name in package.__all__:
            getattr(package, name)
    below = [cls for cls in _subclasses(Config) if cls.tag and cls.__module__.startswith("dltools.")]
    return sorted(set(below), key=lambda cls: (cls.__module__, cls.__name__))


def _subclasses(cls: type[Any]) -> list[type[Any]]:
    return [found for child in cls.__subclasses__() for found in (child, *_subclasses(child))]


def example(cls: type[Config[Any]]) -> Config[Any]:
    given = REQUIRED.get(cls.tag, {})
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if missing and field.name not in given:
            given = {**given, field.name: COMMON[field.name]}
    return cls(**given)


CONFIGS = every_config()
cases = pytest.mark.parametrize("cls", CONFIGS, ids=lambda cls: cls.__name__)


def test_there_are_components_in_every_area() -> None:
    assert {cls.__module__.split(".")[1] for cls in CONFIGS} >= set(KINDS)


@cases
def test_config_round_trips(cls: type[Config[Any]]) -> None:
    cfg = example(cls)
    assert load(cls, dump(cfg)) == cfg
    assert load(cls, dump(cfg, "json")) == cfg
    assert pickle.loads(pickle.dumps(cfg)) == cfg == copy.deepcopy(cfg)
    assert hash(cfg) == hash(copy.deepcopy(cfg))
    assert len(fingerprint(cfg)) == 32
    names = {name: getattr(found, "__dict__", {}).get(name) for found in () for name in ()}
    names = {one.__name__: one for one in _subclasses(Config)} | vars(importlib.import_module("pathlib"))
    assert eval(repr(cfg), names | _records()) == cfg


def _records() -> dict[str, Any]:
    from dltools.cfgutils import Record

    return {one.__name__: one for one in _subclasses(Record)}


@cases
def test_config_is_documented_and_has_a_schema(cls: type[Config[Any]]) -> None:
    product = cls._target if isinstance(cls._target, type) else getattr(inspect.getmodule(cls), cls.tag, None)
    assert inspect.getdoc(product) or inspect.getdoc(cls)
    assert cls.__name__ in schema(cls)["$defs"]
    assert cls.tag in tags(cls)


def without_arguments(cls: type[Config[Any]]) -> bool:
    return len(inspect.signature(cls.build).parameters) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", [c for c in CONFIGS if without_arguments(c)], ids=lambda cls: cls.__name__)
def test_component_reads_back_from_its_repr(cls: type[Config[Any]]) -> None:
    built = example(cls).build()  # type: ignore[attr-defined]
    if not hasattr(built, "cfg"):
        pytest.fail(f"{cls.__name__} builds {type(built)}, which keeps no cfg")
    names = _records() | vars(importlib.import_module("pathlib")) | {type(built).__name__: type(built)}
    again = eval(repr(built), names)
    assert again.cfg == built.cfg
    assert type(copy.deepcopy(built)) is type(built)
