from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dltools.augs.matrix import after, flipped, turned
from dltools.augs.resample import resample

RNG = np.random.default_rng(0)


def bilinear(image: NDArray[np.float64], matrix: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """By definition: each canvas pixel asks where its centre came from, and weighs the four pixel centres around it."""
    out = np.zeros(size)
    inverse = np.linalg.inv(matrix)
    for row in range(size[0]):
        for col in range(size[1]):
            x, y, w = inverse @ [col + 0.5, row + 0.5, 1.0]
            x, y = x / w - 0.5, y / w - 0.5
            left, top = int(np.floor(x)), int(np.floor(y))
            for r in (top, top + 1):
                for c in (left, left + 1):
                    if 0 <= r < image.shape[0] and 0 <= c < image.shape[1]:
                        out[row, col] += image[r, c] * (1 - abs(x - c)) * (1 - abs(y - r))
    return out


@pytest.mark.parametrize("perspective", [0.0, 0.01])
def test_interpolation_is_the_definition(perspective: float) -> None:
    image = RNG.random((9, 7)).astype(np.float32)
    matrix = np.array([[1.1, 0.2, -0.7], [-0.3, 0.9, 1.4], [perspective, 0.0, 1.0]])
    out = resample(image, matrix, (8, 10), smooth=True)
    # OpenCV's perspective path keeps 1/32 of a pixel
    np.testing.assert_allclose(out, bilinear(image, matrix, (8, 10)), atol=1e-5 if not perspective else 0.04)


@given(
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([np.uint8, np.float32, np.int64, np.bool_]),
    st.sampled_from([(), (1,), (3,)]),
)
def test_turns_and_mirrors_are_exact(
    quarters: int, hflip: bool, vflip: bool, dtype: type, channels: tuple[int, ...]
) -> None:
    array = (RNG.random((5, 4, *channels)) * 9).astype(dtype)
    matrix, size = turned((5, 4), quarters)
    a, b, c, d, e, f = after(flipped(size, hflip, vflip), matrix)
    out = resample(array, np.array([[a, b, c], [d, e, f], [0, 0, 1]]), size, smooth=False)
    expected = np.rot90(array, quarters)
    expected = expected[:, ::-1] if hflip else expected
    expected = expected[::-1] if vflip else expected
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == array.dtype
    assert not np.shares_memory(out, array)


def test_a_cut_at_whole_pixels_is_a_slice_and_what_is_beyond_is_the_fill() -> None:
    array = RNG.integers(0, 255, (6, 6), dtype=np.uint8)
    move = np.array([[1.0, 0.0, -2.0], [0.0, 1.0, -1.0], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(resample(array, move, (3, 4), smooth=True), array[1:4, 2:6])
    out = resample(array, move, (6, 6), smooth=False, fill=7)
    np.testing.assert_array_equal(out[:5, :4], array[1:, 2:])
    assert (out[5:] == 7).all()
    assert (out[:, 4:] == 7).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8, np.int16, np.int32, np.uint32, np.int64, np.bool_])
def test_masks_of_every_integer_dtype_take_the_nearest_pixel(dtype: type) -> None:
    mask = np.arange(16).reshape(4, 4).astype(dtype)
    out = resample(mask, np.diag([2.0, 2.0, 1.0]), (8, 8), smooth=False)
    assert out.dtype == mask.dtype
    np.testing.assert_array_equal(out, mask.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_channels_are_interpolated_alike(channels: int) -> None:
    image = RNG.random((8, 8, channels)).astype(np.float32)
    matrix = np.array([[0.9, 0.1, 0.5], [-0.1, 0.9, 0.2], [0.0, 0.0, 1.0]])
    out = resample(image, matrix, (6, 6), smooth=True)
    single = [resample(image[..., i], matrix, (6, 6), smooth=True) for i in range(channels)]
    np.testing.assert_allclose(out, np.stack(single, -1), atol=1e-6)


@pytest.mark.parametrize("turn", [0.0, 1e-9])
def test_what_shrinks_is_averaged(turn: float) -> None:
    image = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (32, 32))
    out = resample(image, np.array([[0.125, turn, 0.0], [0.0, 0.125, 0.0], [0.0, 0.0, 1.0]]), (8, 8), smooth=True)
    assert np.abs(out.astype(int) - 128).max() <= 1


def test_a_stretch_does_not_darken_the_edges() -> None:
    out = resample(np.full((4, 4), 200, np.uint8), np.diag([2.0, 2.0, 1.0]), (8, 8), smooth=True)
    assert (out == 200).all()


def test_a_reflecting_border_shows_the_image_mirrored() -> None:
    image = np.arange(5, dtype=np.float32)[None].repeat(5, 0)
    move = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    out = resample(image, move, (5, 5), smooth=True, border="reflect")
    np.testing.assert_allclose(out[0], [2, 1, 0, 1, 2], atol=1e-6)


def test_a_displacement_shows_what_stood_there() -> None:
    image = RNG.random((6, 6)).astype(np.float32)
    shift = np.zeros((6, 6, 2), np.float32)
    shift[..., 0] = 1.0
    out = resample(image, np.eye(3), (6, 6), smooth=True, shift=shift)
    np.testing.assert_allclose(out[:, :5], image[:, 1:], atol=1e-6)
