from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch

from dltools.errors import ConfigError
from dltools.states import First, Hist16, Max, Min, States, Sum, Table

LAYOUT = {
    "hits": Sum(2),
    "error": Sum(dtype=torch.float64),
    "low": Min(),
    "high": Max(2),
    "cells": Hist16(),
    "first": First("x", "i"),
    "rows": Table({"x": torch.float32, "image": torch.int64}),
}


def filled(offset: float = 0.0) -> States:
    states = States(LAYOUT)
    states["hits"] += torch.tensor([1, 2])
    states.add("error", torch.tensor([0.5 + offset], dtype=torch.float64))
    states.stored("low").clamp_(max=3.0 + offset)
    states.stored("high").clamp_(min=4.0 + offset)
    states["cells"][0, 1, 65536] += 1
    states.see("first", torch.tensor([False, True]), torch.tensor([0.0, 5.0 + offset]), torch.tensor([1, 2**40]))
    states.append("rows", {"x": torch.tensor([1.0 + offset, 2.0]), "image": torch.tensor([2**40, 7])})
    return states


def test_kinds_are_hashable_and_never_without_a_dimension() -> None:
    assert {Sum(), Sum(1), Sum(dtype=torch.float64)} == {Sum(1), Sum(1, dtype=torch.float64)}
    assert all(States({"x": kind})["x"].dim() >= 1 for kind in (Sum(), Min(), Max(), Sum(dtype=torch.float64)))
    assert States({"x": Hist16(3)})["x"].shape == (3, 2, 65537)
    assert Table({"a": torch.int64}) != Table({"b": torch.int64})
    assert len({Table({"a": torch.int64}), Table({"a": torch.int64})}) == 1


def test_sums_stay_right_past_the_precision_of_their_type() -> None:
    states = States({"n": Sum(), "x": Sum(dtype=torch.float64)})
    states["n"] += 2**24
    for _ in range(10):
        states["n"] += 1
    assert states["n"].item() == 16777226
    states.add("x", torch.tensor([1e16], dtype=torch.float64))
    for _ in range(1000):
        states.add("x", torch.tensor([1.0], dtype=torch.float64))
    states.add("x", torch.tensor([-1e16], dtype=torch.float64))
    assert states["x"].item() == 1000.0  # plain float64 says 0 or 2000


def test_merge_is_having_counted_both() -> None:
    states, other = filled(), filled(1.0)
    states.merge(other)
    assert states["hits"].tolist() == [2, 4]
    assert states["error"].item() == 2.0
    assert (states["low"].item(), states["high"].tolist()) == (3.0, [5.0, 5.0])
    assert states["cells"].sum() == 2
    assert states.table("rows")["x"].tolist() == [1.0, 2.0, 2.0, 2.0]
    assert states.table("rows")["image"].tolist() == [2**40, 7, 2**40, 7]
    with pytest.raises(ConfigError, match="layouts differ"):
        states.merge(States({"hits": Sum(3)}))


def test_state_dict_pickle_and_deepcopy_keep_everything() -> None:
    states = filled()
    loaded = States(LAYOUT)
    loaded.load_state_dict(states.state_dict())
    for again in (loaded, copy.deepcopy(states), pickle.loads(pickle.dumps(states))):
        assert {name: again[name].tolist() for name in LAYOUT} == {name: states[name].tolist() for name in LAYOUT}
    again = states.state_dict()
    states["hits"] += 5
    assert again["hits"].tolist() == [1, 2]
    with pytest.raises(ConfigError, match=r"does not fit in \['hits'\]"):
        states.load_state_dict({**again, "hits": torch.zeros(3)})
    with pytest.raises(ConfigError, match="does not fit"):
        states.load_state_dict({})


def test_reset_starts_again() -> None:
    states = filled()
    states.reset()
    assert states["hits"].tolist() == [0, 0]
    assert (states["low"].item(), states["high"].tolist()) == (math.inf, [-math.inf] * 2)
    assert states.table("rows")["x"].tolist() == []


def test_misuse_is_named() -> None:
    states = filled()
    with pytest.raises(ConfigError, match="did you mean 'hits'"):
        states["hit"]
    with pytest.raises(ConfigError, match="cannot be replaced"):
        states["hits"] = torch.zeros(2)  # type: ignore[index]
    with pytest.raises(ConfigError, match="expected a Sum|Expected a Sum"):
        states.add("low", torch.zeros(1))
    with pytest.raises(ConfigError, match="Expected a Table"):
        states.append("hits", {})
    with pytest.raises(ConfigError, match="rows have the columns"):
        states.append("rows", {"y": torch.zeros(1)})


def test_updates_run_on_meta_and_move_with_the_data() -> None:
    states = States({"n": Sum(3), "x": Sum(dtype=torch.float64)}).to("meta")
    states["n"] += torch.zeros(3, dtype=torch.int64, device="meta")
    states.add("x", torch.zeros(1, device="meta"))
    assert states["n"].device.type == "meta"


def test_states_made_in_inference_mode_can_be_counted_into_outside() -> None:
    with torch.inference_mode():
        states = States({"n": Sum(), "rows": Table({"x": torch.float64})})
        states["n"] += 1
    states["n"] += 1
    assert states["n"].item() == 2


def test_what_is_made_of_merged_states_is_made_once_and_of_others_anew() -> None:
    states = filled()
    merged = States.merged(LAYOUT, {name: states.stored(name).clone() for name in LAYOUT})
    assert merged["error"].item() == 0.5
    assert merged.table("rows")["image"].tolist() == [2**40, 7]
    calls: list[States] = []

    def hits(s: States) -> int:
        calls.append(s)
        return int(s["hits"].sum())

    assert [merged.once("hits", hits), merged.once("hits", hits)] == [3, 3]
    assert calls == [merged]
    states["hits"] += 1
    assert [states.once("hits", hits), merged.once("hits", hits)] == [5, 3]
    assert len(calls) == 2


def test_the_first_is_kept_exactly_and_once() -> None:
    states = States({"first": First("x", "i")})
    where = torch.zeros(3, 2, 4, dtype=torch.bool)
    numbers = torch.arange(24).view(3, 2, 4)
    states.see("first", where, numbers, numbers)
    states.see("first", where[:0], numbers[:0], numbers[:0])
    assert states["first"].tolist() == [0, 0, 0]
    where[1, 1, 2] = where[2, 0, 0] = where[1, 1, 3] = True
    states.see("first", where, numbers.bfloat16() / 2, numbers + 2**53 - 24)
    assert states["first"].tolist() == [1, 7, 2**53 - 10]
    states.see("first", ~where, numbers, numbers)
    assert states["first"].tolist() == [1, 7, 2**53 - 10]
    states.reset()
    states.see("first", where.transpose(0, 2), numbers.transpose(0, 2), numbers.transpose(0, 2))
    assert states["first"].tolist() == [1, 16, 16]


def test_nan_and_infinity_may_be_the_first() -> None:
    states, other = States({"first": First()}), States({"first": First()})
    states.see("first", torch.tensor([True]), torch.tensor([math.nan]))
    other.see("first", torch.tensor([True]), torch.tensor([-math.inf]))
    assert First().words(other["first"]) == "-inf"
    states.merge(other)
    assert First().words(states["first"]) == "nan"
    assert First("a", "b").words(torch.tensor([1, 0.1, 2**40], dtype=torch.float64)) == "a 0.1, b 1099511627776"
    assert First("a", "b").words(torch.zeros(3)) == ""
    assert First().words(torch.tensor([1, 1e38], dtype=torch.float64)) == "1e+38"


def test_of_many_ranks_the_first_that_has_one_counts() -> None:
    each = torch.zeros(3000, 2, dtype=torch.float64)
    assert First().choose(each).tolist() == [0, 0]
    each[[1100, 1200, 2999], 0] = 1
    each[:, 1] = torch.arange(3000)
    assert First().choose(each).tolist() == [1, 1100]


def test_only_a_first_keeps_one() -> None:
    with pytest.raises(ConfigError, match="state 'hits' is a Sum"):
        filled().see("hits", torch.tensor([True]), torch.ones(1))
