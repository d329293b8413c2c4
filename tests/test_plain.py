from __future__ import annotations

import copy
import enum
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from dltools._plain import FrozenMap, freeze, source


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int = 0


CHANGES: dict[str, Any] = {
    "setitem": lambda m: m.__setitem__("a", 2),
    "delitem": lambda m: m.__delitem__("a"),
    "ior": lambda m: m.__ior__({"a": 2}),
    "clear": lambda m: m.clear(),
    "pop": lambda m: m.pop("a"),
    "popitem": lambda m: m.popitem(),
    "setdefault": lambda m: m.setdefault("b", 2),
    "update": lambda m: m.update(a=2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_frozen_map_refuses_every_change(change: str) -> None:
    made = FrozenMap(a=1)
    with pytest.raises(TypeError, match="it is read-only; make a changed copy"):
        CHANGES[change](made)
    assert made == {"a": 1}


def test_a_frozen_map_hashes_copies_and_pickles() -> None:
    made = FrozenMap(a=1, b=2)
    assert hash(made) == hash(FrozenMap(b=2, a=1)) != hash(FrozenMap(a=1))
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), copy.copy(made)):
        assert (type(again), again) == (FrozenMap, made)


def test_freeze_makes_containers_read_only_and_numbers_plain() -> None:
    point, found = Point(), list[Any]()
    array = np.zeros(2)
    given = {
        "a": [1, (np.float32(0.5), OrderedDict(b=[True]))],
        "p": [point],
        "m": MappingProxyType({"x": None}),
        "n": array,
    }
    made = freeze(given, found)
    assert {**made, "n": 0} == {"a": (1, (0.5, {"b": (True,)})), "p": (point,), "m": {"x": None}, "n": 0}
    assert made["n"] is array
    assert [type(part) for part in (made, made["a"][1][1], made["m"])] == [FrozenMap] * 3
    assert type(made["a"][1][0]) is float
    assert type(freeze(np.array(3), [])) is int
    assert [one is point for one in found] == [True]


@pytest.mark.parametrize(
    "value",
    [1, -0.5, float("inf"), -float("inf"), "it's", None, True, (), (1,), (1, (2, "a")), {}, {"a": {1: (2.0,)}}]
    + [Colour.RED, Path("a/b"), {Colour.RED: Path()}],
)
def test_source_makes_the_value_again(value: Any) -> None:
    assert eval(source(value)) == value
    assert type(eval(source(value))) is type(value)


def test_source_of_paths_and_maps() -> None:
    assert source(PurePosixPath("a")) == "Path('a')"
    assert source(FrozenMap(a=(1, 2), b=(3,))) == "{'a': (1, 2), 'b': (3,)}"
