from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.errors import ConfigError, ShapeError
from dltools.writers.histogram import spread


@given(
    given=st.lists(st.integers(-1000, 1000).map(lambda n: n / 8), min_size=2, max_size=60).filter(
        lambda x: len({*x}) > 1
    ),
    bins=st.sampled_from([1, 2, 4, 8, 64]),
)
def test_counts_are_those_of_numpy(given: list[float], bins: int) -> None:
    hist = spread("h", torch.tensor(given, dtype=torch.float64), bins)
    counts, edges = np.histogram(given, bins)
    np.testing.assert_allclose(hist.edges, edges, rtol=1e-12, atol=1e-12)
    assert sum(hist.counts) == len(given)
    assert abs(np.cumsum(hist.counts) - np.cumsum(counts)).max() <= sum(
        np.isclose((x - min(given)) / (max(given) - min(given)) * bins % 1, [0, 1], atol=1e-9).any() for x in given
    )  # at an edge that is no binary fraction the two may round to different sides
    assert (hist.min, hist.max) == (min(given), max(given))
    assert hist.sum == pytest.approx(math.fsum(given))
    assert hist.sum_sq == pytest.approx(math.fsum(x * x for x in given))


def test_edges_belong_to_the_bin_on_their_right_and_the_last_to_the_last() -> None:
    hist = spread("h", np.array([0, 1, 2, 3, 4]), 4)
    assert hist.counts == (1, 1, 1, 2)
    assert hist.edges == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64, torch.uint8, torch.bool])
def test_every_real_dtype(dtype: torch.dtype) -> None:
    hist = spread("h", torch.tensor([[0, 1], [1, 1]]).to(dtype), 2)
    assert (hist.counts, hist.edges, hist.sum) == ((1, 3), (0.0, 0.5, 1.0), 3)


def test_what_is_not_finite_is_left_out() -> None:
    hist = spread("h", np.array([np.nan, 1.0, np.inf, 3.0, -np.inf]), 2)
    assert (hist.counts, hist.edges, hist.sum, hist.min, hist.max) == ((1, 1), (1, 2, 3), 4, 1, 3)


@pytest.mark.parametrize("given", [[], [np.nan, np.inf]])
def test_nothing_finite(given: list[float]) -> None:
    hist = spread("h", np.array(given), 2)
    assert (hist.counts, hist.edges, hist.sum) == ((0, 0), (0, 0.5, 1), 0)
    assert math.isnan(hist.min)
    assert math.isnan(hist.max)


@pytest.mark.parametrize(("value", "edges"), [(3.0, (1.5, 4.5)), (0.0, (-0.5, 0.5)), (-0.25, (-0.75, 0.25))])
def test_a_single_value_stands_in_the_middle(value: float, edges: tuple[float, float]) -> None:
    hist = spread("h", torch.full((5,), value), 1)
    assert (hist.edges, hist.counts) == (edges, (5,))


@pytest.mark.parametrize(
    "bad", [torch.zeros(2, dtype=torch.complex64), np.zeros(2, complex), np.array(["a"]), [1.0], None]
)
def test_what_has_no_order_is_refused(bad: object) -> None:
    with pytest.raises(ShapeError, match="'h'"):
        spread("h", bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bins", [0, -1, 1.5, True, "8"])
def test_bins(bins: object) -> None:
    with pytest.raises(ConfigError, match="bins is"):
        spread("h", torch.zeros(2), bins)
