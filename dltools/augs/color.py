"""What happens to each pixel alone: a matrix on its colour, a curve on each value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dltools.augs.resample import opencv

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in grey (ITU-R BT.601)."""
YIQ = np.stack([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""From RGB to grey and two axes of colour (NTSC 1953)."""
RGB = np.linalg.inv(YIQ)


def color_matrix(saturation: float, hue: float) -> NDArray[np.float64]:
    """(3, 3) on RGB: colours turned about the grey axis by ``hue`` (1: full circle), their distance from grey times
    ``saturation``.

    >>> color_matrix(0.0, 0.0).round(3)[0].tolist()
    [0.299, 0.587, 0.114]
    """
    cos, sin = math.cos(2 * math.pi * hue) * saturation, math.sin(2 * math.pi * hue) * saturation
    matrix: NDArray[np.float64] = RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ YIQ
    return matrix


def curve(image: NDArray[Any], gain: float, offset: float, gamma: float, bits: int) -> NDArray[Any]:
    """``((x - 1/2) gain + 1/2 + offset) ** gamma`` of each value in 0..1, cut to so many bits; uint8 goes through a
    table of 256.

    >>> curve(np.array([[0, 100, 255]], np.uint8), gain=1.0, offset=0.2, gamma=1.0, bits=8).tolist()
    [[51, 151, 255]]
    """
    if image.dtype == np.uint8:
        levels = _curve(np.arange(256, dtype=np.float64) / 255, gain, offset, gamma, bits)
        table = np.rint(levels * 255).astype(np.uint8)
        return np.asarray(opencv().LUT(image, table)).reshape(image.shape)
    return _curve(image, gain, offset, gamma, bits)


def _curve(x: NDArray[Any], gain: float, offset: float, gamma: float, bits: int) -> NDArray[Any]:
    y = np.clip((x - 0.5) * gain + (0.5 + offset), 0, 1)
    if gamma != 1:
        y = y**gamma
    if bits < 8:
        step = 2 ** (8 - bits)
        y = np.floor(np.rint(y * 255) / step) * step / 255
    return y.astype(x.dtype, copy=False)
