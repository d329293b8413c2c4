from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltools.augs.box import BoxPolicy, area, clipped, moved_boxes, valid_boxes, visible_boxes
from dltools.errors import ConfigError, ShapeError

SIDE = st.floats(-50, 150, allow_nan=False)
BOXES = st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), max_size=6).map(
    lambda rows: np.array(rows, np.float64).reshape(-1, 4)
)


@given(BOXES, st.floats(0, 50), st.floats(0, 1))
def test_what_is_left_of_boxes(
    boxes: np.ndarray[tuple[int, int], np.dtype[np.float64]], least: float, share: float
) -> None:
    cut, kept = visible_boxes(boxes, (80, 100), BoxPolicy(min_area=least, min_visibility=share))
    for row, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        a, b, c, d = min(max(x1, 0), 100), min(max(y1, 0), 80), min(max(x2, 0), 100), min(max(y2, 0), 80)
        left = max(c - a, 0) * max(d - b, 0)
        whole = max(x2 - x1, 0) * max(y2 - y1, 0)
        assert cut[row].tolist() == [a, b, c, d]
        assert bool(kept[row]) == (left > 0 and left >= least and left >= share * whole)
    assert np.array_equal(clipped(boxes, (80, 100)), cut)
    assert (area(cut) >= 0).all()


@given(BOXES)
def test_moved_boxes_are_tight_around_their_corners(boxes: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    matrix = np.array([[0.8, -0.6, 3], [0.6, 0.8, -2], [0.0005, 0.001, 1]])
    moved = moved_boxes(boxes, matrix)
    for row, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        corners = [matrix @ [x, y, 1] for x in (x1, x2) for y in (y1, y2)]
        xs, ys = [x / w for x, _, w in corners], [y / w for _, y, w in corners]
        np.testing.assert_allclose(moved[row], [min(xs), min(ys), max(xs), max(ys)], atol=1e-9)


def test_policies_before_the_move() -> None:
    boxes = np.array([[1, 1, 5, 5], [-2, 1, 5, 5], [5, 5, 1, 1], [np.nan, 0, 1, 1]])
    clip, drop = (
        valid_boxes(boxes, (10, 10), BoxPolicy(on_invalid=name), "x")[1].tolist() for name in ("clip", "drop")
    )
    assert clip == [True, True, False, False]
    assert drop == [True, False, False, False]
    with pytest.raises(ShapeError, match="box 1 of x is"):
        valid_boxes(boxes, (10, 10), BoxPolicy(on_invalid="raise"), "x")
    assert valid_boxes(boxes[:1], None, BoxPolicy(on_invalid="raise"), "x")[1].all()
    for bad in (np.zeros(4), np.zeros((2, 5))):
        with pytest.raises(ShapeError, match=r"\(N, 4\)"):
            valid_boxes(bad, (10, 10), BoxPolicy(), "x")
    with pytest.raises(ConfigError):
        BoxPolicy(min_visibility=1.5)
