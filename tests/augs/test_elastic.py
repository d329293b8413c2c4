from __future__ import annotations

import numpy as np
import pytest

from dltools.augs.elastic import Field
from dltools.rng import key

RNG = np.random.default_rng(6)


@pytest.mark.parametrize("size", [(100, 140), (64, 64), (7, 5)])
def test_a_field_is_smooth_and_never_folds(size: tuple[int, int]) -> None:
    shift = Field(key(1), 50.0).shift(size)
    assert shift.shape == (*size, 2)
    assert np.abs(shift).max() <= 1.5 * min(size) / 20  # a cubic overshoots its grid
    where = np.indices(size)[::-1].transpose(1, 2, 0) + shift
    assert (np.diff(where[..., 0], axis=1) > 0).all()
    assert (np.diff(where[..., 1], axis=0) > 0).all()
    assert np.array_equal(shift, Field(key(1), 50.0).shift(size))
    assert not np.array_equal(shift, Field(key(2), 50.0).shift(size))


def test_points_are_seen_where_the_field_shows_them() -> None:
    size, field = (100, 140), Field(key(3), 4.0)
    shift = field.shift(size).astype(np.float64)
    rows, cols = RNG.integers(8, 92, 50), RNG.integers(8, 132, 50)
    seen = np.stack([cols, rows], 1) + 0.5  # pixel centres
    shown = seen + shift[rows, cols]
    np.testing.assert_allclose(field.undo(shown, size), seen, atol=0.05)  # OpenCV interpolates to 1/32 of a pixel
    assert field.undo(np.zeros((0, 2)), size).shape == (0, 2)
