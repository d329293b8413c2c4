"""One array under one matrix: sliced where that is exact, else interpolated once by OpenCV."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dltools.augs.matrix import Size
from dltools.errors import MissingExtraError

Array: TypeAlias = NDArray[Any]
Border: TypeAlias = Literal["constant", "reflect"]


@cache
def opencv() -> ModuleType:
    """OpenCV. Raises MissingExtraError without it."""
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-python-headless", "augs") from error
    module: ModuleType = cv2
    return module


def resample(
    array: Array,
    matrix: Array,
    size: Size,
    *,
    smooth: bool,
    border: Border = "constant",
    fill: int = 0,
    shift: Array | None = None,
) -> Array:
    """An array (H, W[, C]) on a new canvas; always a new array of the same dtype.

    ``matrix`` (3, 3) goes from pixel edges of the array to those of the canvas. ``smooth``: linear interpolation
    (images), else nearest (masks). ``shift`` (H, W, 2): the canvas pixel p shows what the matrix puts at p + shift[p].
    """
    rows = matrix.tolist()
    if shift is None and _is_lattice(rows):
        cut = _sliced(array, rows, size)
        if cut is not None:
            return cut
    if array.dtype in _STAND_INS:
        stand_in = array.astype(_STAND_INS[array.dtype])
        return resample(stand_in, matrix, size, smooth=smooth, border=border, fill=fill, shift=shift).astype(
            array.dtype
        )
    if smooth and array.shape[2:] not in ((), (1,), (3,), (4,)):  # of these OpenCV keeps 1/32 of a pixel only
        parts = [array[..., i] for i in range(array.shape[2])]
        return np.stack(
            [resample(part, matrix, size, smooth=smooth, border=border, fill=fill, shift=shift) for part in parts], -1
        )
    return _interpolated(np.ascontiguousarray(array), matrix, size, smooth, border, fill, shift)


_STAND_INS = {
    np.dtype(np.bool_): np.uint8,
    np.dtype(np.int64): np.int32,
    np.dtype(np.uint32): np.int32,
    np.dtype(np.int8): np.int16,
}
"""For what OpenCV cannot interpolate: dtypes with room for the same class indices."""


def _is_lattice(rows: list[list[float]]) -> bool:
    """Whether pixels fall on pixels: flips, quarter turns, and moves by whole pixels."""
    (a, b, c), (d, e, f), last = rows
    turn = (abs(a), abs(b), abs(d), abs(e))
    return last == [0, 0, 1] and turn in ((1, 0, 0, 1), (0, 1, 1, 0)) and c.is_integer() and f.is_integer()


def _sliced(array: Array, rows: list[list[float]], size: Size) -> Array | None:
    """The canvas by slicing; None if the canvas shows more than the array and needs a border."""
    (a, b, c), (d, e, f), _ = rows
    if a == 0:  # transposed: x' depends on y
        array, (a, c), (e, f) = np.swapaxes(array, 0, 1), (b, c), (d, f)
    height, width = array.shape[:2]
    # the array's own corner on the canvas, after the flips
    left, top = int(c) - (width if a < 0 else 0), int(f) - (height if e < 0 else 0)
    array = array[:: -1 if e < 0 else 1, :: -1 if a < 0 else 1]
    if left <= 0 and top <= 0 and left + width >= size[1] and top + height >= size[0]:
        return array[-top : size[0] - top, -left : size[1] - left].copy()
    return None


def _interpolated(
    array: Array, matrix: Array, size: Size, smooth: bool, border: Border, fill: int, shift: Array | None
) -> Array:
    cv2 = opencv()
    height, width = array.shape[:2]
    stretch = [[size[1] / width, 0.0, 0.0], [0.0, size[0] / height, 0.0], [0.0, 0.0, 1.0]]
    if smooth and shift is None and matrix.tolist() == stretch:
        area = 2 * size[0] <= height and 2 * size[1] <= width
        out = cv2.resize(array, size[::-1], interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR)
        return np.asarray(out).reshape(*size, *array.shape[2:])
    (a, b, _), (d, e, _), last = matrix.tolist()
    if smooth and (factor := int(abs(a * e - b * d) ** -0.5)) > 1:
        # linear interpolation looks at 2 x 2 pixels only: average first what shrinks to less
        small = max(width // factor, 1), max(height // factor, 1)
        array = cv2.resize(array, small, interpolation=cv2.INTER_AREA).reshape(*small[::-1], *array.shape[2:])
        matrix = matrix @ np.diag([width / small[0], height / small[1], 1.0])
    how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    options = {
        "borderMode": cv2.BORDER_CONSTANT if border == "constant" else cv2.BORDER_REFLECT_101,
        "borderValue": (fill,) * 4,
    }
    centred = _on_centres(matrix)
    if shift is not None:
        xy = np.indices(size, dtype=np.float32)[::-1] + shift.transpose(2, 0, 1)
        maps = cv2.perspectiveTransform(np.ascontiguousarray(xy.transpose(1, 2, 0)), np.linalg.inv(centred))
        out = cv2.remap(array, maps, None, how, **options)
    elif last == [0, 0, 1]:
        out = cv2.warpAffine(array, centred[:2], size[::-1], flags=how, **options)
    else:
        out = cv2.warpPerspective(array, centred, size[::-1], flags=how, **options)
    return np.asarray(out).reshape(*size, *array.shape[2:])


def _on_centres(matrix: Array) -> Array:
    """The matrix for coordinates that count pixel centres, as OpenCV's do: half a pixel less than edges."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    z = i + 0.5 * (g + h)
    centred = (
        a - 0.5 * g,
        b - 0.5 * h,
        c + 0.5 * (a + b - z),
        d - 0.5 * g,
        e - 0.5 * h,
        f + 0.5 * (d + e - z),
        g,
        h,
        z,
    )
    return np.array(centred).reshape(3, 3)
