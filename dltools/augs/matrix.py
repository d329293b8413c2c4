"""Matrices on pixel edges, as plain numbers: drawing one costs a few microseconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Affine: TypeAlias = tuple[float, float, float, float, float, float]
"""a b c d e f: x' = a x + b y + c, y' = d x + e y + f."""
Size: TypeAlias = tuple[int, int]
Fit: TypeAlias = Literal["stretch", "cover", "contain"]

IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def after(outer: Affine, inner: Affine) -> Affine:
    """First ``inner``, then ``outer``."""
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f


def flipped(size: Size, horizontal: bool, vertical: bool) -> Affine:
    """Mirror images of a canvas (H, W): left to right, top to bottom."""
    height, width = size
    return (
        -1.0 if horizontal else 1.0,
        0.0,
        float(width) if horizontal else 0.0,
        0.0,
        -1.0 if vertical else 1.0,
        float(height) if vertical else 0.0,
    )


def turned(size: Size, quarters: int) -> tuple[Affine, Size]:
    """Quarter turns against the clock, as ``numpy.rot90``, and the turned canvas."""
    matrix = IDENTITY
    for _ in range(quarters):
        matrix = after((0.0, 1.0, 0.0, -1.0, 0.0, float(size[1])), matrix)
        size = size[1], size[0]
    return matrix, size


def fitted(crop: tuple[float, float, float, float], size: Size, fit: Fit) -> Affine:
    """Takes a rectangle (x, y, width, height) to a canvas: stretched over it, covering it, or whole inside it, centred
    to whole pixels."""
    x, y, width, height = crop
    sx, sy = size[1] / width, size[0] / height
    if fit != "stretch":
        sx = sy = max(sx, sy) if fit == "cover" else min(sx, sy)
    left, top = math.floor((size[1] - sx * width) / 2), math.floor((size[0] - sy * height) / 2)
    return sx, 0.0, left - sx * x, 0.0, sy, top - sy * y


def jittered(
    size: Size, rotate: float, scale: float, shear: tuple[float, float], translate: tuple[float, float]
) -> Affine:
    """About the centre of a canvas: scaled, sheared along x and y, turned (degrees), then moved (shares of the
    canvas)."""
    cos, sin = math.cos(math.radians(rotate)) * scale, math.sin(math.radians(rotate)) * scale
    tan_x, tan_y = math.tan(math.radians(shear[0])), math.tan(math.radians(shear[1]))
    a, b, d, e = cos - sin * tan_y, cos * tan_x - sin, sin + cos * tan_y, sin * tan_x + cos
    x, y = size[1] / 2, size[0] / 2
    return a, b, x * (1 + 2 * translate[0]) - a * x - b * y, d, e, y * (1 + 2 * translate[1]) - d * x - e * y


def tilted(size: Size, shifts: Sequence[float]) -> NDArray[np.float64]:
    """(3, 3): the perspective that moves the four corners of a canvas by shares of it, x and y for each corner in
    turn."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
    goals = corners + np.reshape(shifts, (4, 2))
    rows = [
        row
        for (x, y), (u, v) in zip(corners.tolist(), goals.tolist(), strict=True)
        for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])
    ]
    unit = np.append(np.linalg.solve(np.array(rows), goals.reshape(-1)), 1.0).reshape(3, 3)
    canvas = np.diag([float(size[1]), float(size[0]), 1.0])
    matrix: NDArray[np.float64] = canvas @ unit @ np.linalg.inv(canvas)
    return matrix
