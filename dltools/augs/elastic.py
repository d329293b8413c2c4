"""Smooth local displacement: a coarse grid of random shifts, interpolated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dltools.augs.matrix import Size
from dltools.augs.resample import opencv
from dltools.rng import Key

NODES = 6
"""Grid points along a side."""


@dataclass(frozen=True)
class Field:
    """A displacement of a canvas: pixel p shows what stood at p + shift(p); each grid point draws a shift of up to
    ``pixels`` along x and y.

    ``pixels`` is held to 1/20 of the canvas's shorter side, at which nothing folds over.
    """

    key: Key
    pixels: float

    @cached_property
    def _grid(self) -> NDArray[np.float32]:
        return self.key.numpy().uniform(-1, 1, (NODES, NODES, 2)).astype(np.float32)

    def shift(self, size: Size) -> NDArray[np.float32]:
        """(H, W, 2): x and y shift of every pixel of a canvas (H, W)."""
        cv2 = opencv()
        grid = self._grid * min(self.pixels, min(size) / 20)
        shift: NDArray[np.float32] = cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)
        return shift

    def undo(self, points: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
        """Where points (N, 2) of the undisplaced canvas are seen after the displacement: q with q + shift(q) = p, by
        fixed-point iteration."""
        cv2 = opencv()
        if not len(points):
            return points
        shift: NDArray[Any] = self.shift(size)
        seen = points
        for _ in range(6):
            at = (seen - 0.5).astype(np.float32)[None]  # the shifts stand at pixel centres
            moved = cv2.remap(shift, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            seen = points - moved[0]
        return seen
