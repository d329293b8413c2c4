"""Cells keep the order of scores, and are as narrow as promised."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.functional.hist16 import CELLS, NAN, cells_of, lowest_of

HALVES: list[Any] = [("float16", torch.float16), ("bfloat16", torch.bfloat16)]


@pytest.mark.parametrize(("name", "dtype"), HALVES)
def test_each_half_has_a_cell_of_its_own_in_order(name: Any, dtype: torch.dtype) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    cells = cells_of(every, name)
    assert (cells[every.isnan()] == NAN).all()
    x = every[~every.isnan()].float().sort()
    rises = cells[~every.isnan()][x.indices].diff()
    assert torch.equal(rises > 0, x.values.diff() > 0)
    assert int((rises == 0).sum()) == 1  # -0 and 0
    back = lowest_of(cells[~every.isnan()].numpy(), name)
    assert np.array_equal(back, every[~every.isnan()].double().numpy())


FLOATS = st.floats(width=32, allow_nan=False)
PROBS = st.floats(0, 1, width=32) | st.floats(0, 2**-20, width=32) | st.floats(1 - 2**-20, 1, width=32)
LOG_PROBS = st.floats(-200, 0, width=32) | st.floats(-(2**-20), 0, width=32) | st.just(-math.inf)


@pytest.mark.parametrize(("scale", "numbers"), [("logits", FLOATS), ("probs", PROBS), ("log_probs", LOG_PROBS)])
@given(data=st.data())
def test_no_smaller_score_has_a_higher_cell(scale: Any, numbers: Any, data: Any) -> None:
    x = torch.tensor(sorted(data.draw(st.lists(numbers, min_size=2, max_size=200))))
    cells = cells_of(x, "float32", scale)
    assert (cells.diff() >= 0).all()
    assert cells.min() >= 0
    assert cells.max() < CELLS


@pytest.mark.parametrize("scale", ["logits", "probs", "log_probs"])
def test_the_lowest_score_of_a_cell_falls_into_it_or_beside_it(scale: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(10_000) * 3
    x = x if scale == "logits" else x.sigmoid() if scale == "probs" else torch.nn.functional.logsigmoid(x)
    cells = cells_of(x, "float32", scale)
    low = torch.from_numpy(lowest_of(cells.numpy(), "float32", scale)).float()
    assert (low <= x + 1e-6 * x.abs()).all()
    assert (cells_of(low, "float32", scale) - cells).abs().max() <= 1


def test_cells_are_fine_in_the_middle_and_wide_in_the_tails() -> None:
    for z, width in ((0.0, 2**-11), (1.5, 2**-10), (-20.0, 2**-7), (1000.0, 0.25)):
        first = int(cells_of(torch.tensor([z]), "float32"))
        assert int(cells_of(torch.tensor([z + 8 * width]), "float32")) - first == pytest.approx(8, abs=1)


def test_infinities_are_the_ends_and_nan_is_apart() -> None:
    x = torch.tensor([-math.inf, math.inf, math.nan, -0.0, 0.0])
    assert cells_of(x, "float32").tolist() == [0, CELLS - 1, NAN, CELLS // 2, CELLS // 2]
    assert cells_of(torch.tensor([0.0, 1.0, math.nan]), "float32", "probs")[2] == NAN
    assert cells_of(torch.tensor([math.nan], dtype=torch.float64), "bfloat16").tolist() == [NAN]


def test_what_rounding_carries_past_the_ends_stays_at_them() -> None:
    p = torch.tensor([-0.005, -1e-9, 0.0, 1e-9, 0.9999, 1.0, 1.0000001, 1.005])
    cells = cells_of(p, "float32", "probs")
    assert cells.tolist() == sorted(cells.tolist())
    assert cells[0] == cells[2] < cells[3] < cells[4] < cells[5] == cells[7]
    ends = cells_of(torch.tensor([-1e-9, 0.0, 0.005]), "float32", "log_probs")
    assert ends[0] < ends[1] == ends[2]
