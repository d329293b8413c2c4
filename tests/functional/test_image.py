from __future__ import annotations

import numpy as np
import pytest
import torch

from dltools.errors import ShapeError
from dltools.functional.image import to_image


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_numpy_and_torch_layouts_agree(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    np.testing.assert_array_equal(to_image(pixels), pixels)
    np.testing.assert_array_equal(to_image(torch.from_numpy(pixels).movedim(-1, 0)), pixels)


def test_grey_gets_one_channel() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.testing.assert_array_equal(to_image(grey)[:, :, 0], grey)
    np.testing.assert_array_equal(to_image(torch.from_numpy(grey))[:, :, 0], grey)


def test_floats_are_clipped_and_rounded_and_nan_is_black() -> None:
    fine = [-np.inf, 1 / 255, 0.4999 / 255, 0.501 / 255]
    given = np.array([[-1.0, 0.0, 0.5, 0.25], [1.0, 7.0, np.nan, np.inf], fine])
    expected = [[0, 0, 128, 64], [255, 255, 0, 255], [0, 1, 0, 1]]
    for dtype in (np.float64, np.float32):
        assert to_image(given.astype(dtype))[:, :, 0].tolist() == expected
    assert to_image(torch.tensor([[0.5, 1.0]], dtype=torch.bfloat16))[:, :, 0].tolist() == [[128, 255]]
    assert to_image(np.array([[0.5, 1.0]], np.float16))[:, :, 0].tolist() == [[128, 255]]


def test_bool_is_black_and_white() -> None:
    assert to_image(np.array([[True, False]]))[:, :, 0].tolist() == [[255, 0]]
    assert to_image(torch.tensor([[True, False]]))[:, :, 0].tolist() == [[255, 0]]


def test_the_result_is_a_copy() -> None:
    for given in (np.zeros((2, 2, 3), np.uint8), torch.zeros((3, 2, 2), dtype=torch.uint8)):
        kept = to_image(given)
        given[:] = 9
        assert not kept.any()
    source = torch.zeros(3, 2, 2, requires_grad=True)
    assert to_image(source).shape == (2, 2, 3)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8, 2), np.uint8),
        np.zeros(8, np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((8, 8), np.int64),
        np.zeros((8, 8), np.complex128),
        torch.zeros(8, 8, 3),
        torch.zeros(1, 3, 8, 8),
        torch.zeros(8, 8, dtype=torch.int64),
        [[1, 2]],
        None,
    ],
    ids=str,
)
def test_other_shapes_and_dtypes_are_refused(bad: object) -> None:
    with pytest.raises(ShapeError):
        to_image(bad)  # type: ignore[arg-type]
