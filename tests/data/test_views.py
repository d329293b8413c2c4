from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltools.data import SubsetView, split
from dltools.errors import ConfigError

THIRDS = st.lists(st.integers(0, 10), min_size=1, max_size=4).filter(sum)


def test_a_view_is_the_chosen_samples_in_that_order() -> None:
    view = SubsetView("abcdef", np.array([4, 1, 1], np.uint8))
    assert [view[i] for i in range(len(view))] == ["e", "b", "b"]
    assert list(SubsetView(view, [2, 0])) == ["b", "e"]
    assert len(SubsetView("abc", [])) == 0


@pytest.mark.parametrize("ids", [[0, 3], [-1], [True, False, True], [0.5], [[0, 1]], 1])
def test_what_are_no_ids_of_the_source(ids: Any) -> None:
    with pytest.raises(ConfigError):
        SubsetView("abc", ids)


@given(st.integers(0, 200), THIRDS, st.integers(0, 5))
def test_parts_are_disjoint_complete_and_of_the_size_asked_for(n: int, weights: list[int], seed: int) -> None:
    parts = split(n, [weight / sum(weights) for weight in weights], seed=seed)
    assert sorted(int(i) for part in parts for i in part) == list(range(n))
    for part, weight in zip(parts, weights, strict=True):
        assert abs(len(part) - n * weight / sum(weights)) <= 1
        assert part.dtype == np.int64


@given(st.lists(st.integers(0, 4), min_size=1, max_size=300), THIRDS, st.integers(0, 5))
def test_stratified_parts_have_their_share_of_every_class(labels: list[int], weights: list[int], seed: int) -> None:
    shares = [weight / sum(weights) for weight in weights]
    parts = split(len(labels), shares, seed=seed, labels=labels)
    assert sorted(int(i) for part in parts for i in part) == list(range(len(labels)))
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - share * len(labels)) <= 1
        for label in set(labels):
            found = sum(labels[i] == label for i in part)
            assert abs(found - share * labels.count(label)) <= 2


@given(st.lists(st.integers(0, 30), min_size=1, max_size=300), THIRDS, st.integers(0, 5))
def test_groups_stay_together(groups: list[int], weights: list[int], seed: int) -> None:
    shares = [weight / sum(weights) for weight in weights]
    parts = split(len(groups), shares, seed=seed, groups=groups)
    assert sorted(int(i) for part in parts for i in part) == list(range(len(groups)))
    homes = [{groups[i] for i in part} for part in parts]
    assert sum(map(len, homes)) == len(set(groups))
    largest = max(map(groups.count, set(groups)))
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - share * len(groups)) <= largest + 1


def test_a_seed_is_a_split_and_each_one_its_own() -> None:
    one, again, other = (split(50, [0.5, 0.5], seed=seed)[0].tolist() for seed in (1, 1, 2))
    assert one == again != other
    assert one != sorted(one)
    names = [f"class {i % 3}" for i in range(50)]
    assert split(50, [0.3], seed=1, labels=names)[0].tolist() == split(50, [0.3], seed=1, labels=names)[0].tolist()


def test_fractions_below_one_leave_some_out() -> None:
    parts = split(10, [0.2, 0.3], seed=0)
    assert [len(part) for part in parts] == [2, 3]
    assert len({int(i) for part in parts for i in part}) == 5


@pytest.mark.parametrize(
    ("n", "fractions", "more"),
    [
        (10, [0.8, 0.3], {}),
        (10, [-0.1, 0.5], {}),
        (10, [float("nan")], {}),
        (-1, [1.0], {}),
        (10, [0.5], {"labels": [0] * 9}),
        (10, [0.5], {"groups": [[0]] * 10}),
        (10, [0.5], {"labels": [0] * 10, "groups": [0] * 10}),
    ],
)
def test_impossible_splits(n: int, fractions: list[float], more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        split(n, fractions, seed=0, **more)
