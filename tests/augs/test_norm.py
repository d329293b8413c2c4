from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dltools.augs import IMAGENET, Norm
from dltools.augs.norm import normalized
from dltools.errors import ConfigError, ShapeError

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("norm", [IMAGENET, Norm(mean=(0.5,), std=(0.25,))], ids=["each", "one"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_and_spread_are_taken_off(norm: Norm, dtype: type) -> None:
    full = 255 if dtype is np.uint8 else 1
    image = (RNG.random((6, 5, 3)) * full).astype(dtype)
    before = image.copy()
    out = normalized(image, norm)
    expected = (image.astype(np.float64) / full - np.array(norm.mean)) / np.array(norm.std)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, atol=2e-6)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1)])
def test_one_channel(shape: tuple[int, ...]) -> None:
    out = normalized(np.full(shape, 255, np.uint8), Norm(mean=(0.5,), std=(0.25,)))
    assert out.shape == shape
    assert (out == 2).all()
    with pytest.raises(ShapeError, match="1 channels, a norm of 3"):
        normalized(np.zeros(shape, np.float32), IMAGENET)


@pytest.mark.parametrize(
    "fields", [{"mean": (), "std": ()}, {"mean": (0.5,), "std": (0.0,)}, {"mean": (0.5,), "std": (0.1, 0.1)}]
)
def test_impossible_norms(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Norm(**fields)
