"""Geometry: how far a sample is moved, and the one matrix drawn from that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Le, Lt

from dltools.augs.matrix import Fit, Size, after, fitted, flipped, jittered, tilted, turned
from dltools.augs.resample import Border
from dltools.cfgutils.annotations import NonNegative, Unit
from dltools.cfgutils.record import Record
from dltools.errors import ConfigError

DRAWS = 22
"""Uniform numbers that a matrix is made of."""


class GeometryCfg(Record):
    """How far an image is moved. Ranges are symmetric, +- the number; None is the strength's own number."""

    hflip: Unit | None = None
    """Probability of a mirror image, left to right."""
    vflip: Unit | None = None
    """Probability of a mirror image, top to bottom."""
    rot90: Unit | None = None
    """Probability of a quarter, half or three-quarter turn."""
    crop_scale: tuple[float, float] | None = None
    """Least and greatest share of the image's area that is cut out."""
    crop_ratio: tuple[float, float] | None = None
    """Least and greatest width to height of the cut, relative to the image's own."""
    rotate: Annotated[NonNegative, Le(180)] | None = None
    """Degrees."""
    scale: Annotated[NonNegative, Lt(1)] | None = None
    """0.1: sizes times 0.9 to 1.1."""
    shear: Annotated[NonNegative, Lt(45)] | None = None
    """Degrees, along x and along y."""
    translate: NonNegative | None = None
    """Share of the canvas's width and height."""
    perspective: Annotated[NonNegative, Lt(0.25)] | None = None
    """How far each corner moves, as a share of the canvas's width and height."""
    elastic: NonNegative | None = None
    """Smooth local displacement in pixels, at most 1/20 of the canvas's shorter side."""
    border: Border = "constant"
    """What stands where the image has ended: 0, or the image mirrored at its edge."""
    mask_fill: int = 255
    """What stands there in a ``mask`` (constant border): the class that losses ignore. In ``masks``: 0."""

    def __post_init__(self) -> None:
        ranges = {"crop_scale": self.crop_scale or (1, 1), "crop_ratio": self.crop_ratio or (1, 1)}
        for name, (low, high) in ranges.items():
            if not 0 < low <= high or (name == "crop_scale" and high > 1):
                raise ConfigError(f"{name} is ({low}, {high})", expected="0 < least <= greatest (of an area: <= 1)")


def draw_matrix(cfg: GeometryCfg, size: Size, canvas: Size, fit: Fit, draws: Sequence[float]) -> list[list[float]]:
    """From pixel edges of an image to those of a canvas, (3, 3): mirrored and turned, cut, fitted, then jittered and
    tilted.

    ``cfg`` has every number; ``draws``: ``DRAWS`` numbers in 0..1.
    """
    hflip, vflip, rot90, quarters, area, ratio, x, y = draws[:8]
    turn, size = turned(size, 1 + int(3 * quarters) if rot90 < (cfg.rot90 or 0) else 0)
    flip = flipped(size, hflip < (cfg.hflip or 0), vflip < (cfg.vflip or 0))
    crop = _crop(size, cfg.crop_scale or (1, 1), cfg.crop_ratio or (1, 1), (area, ratio, x, y))
    rotate, scale, shear_x, shear_y, right, down = (2 * u - 1 for u in draws[8:14])
    shear, move = cfg.shear or 0, cfg.translate or 0
    jitter = jittered(
        canvas,
        rotate * (cfg.rotate or 0),
        1 + scale * (cfg.scale or 0),
        (shear_x * shear, shear_y * shear),
        (right * move, down * move),
    )
    a, b, c, d, e, f = after(jitter, after(fitted(crop, canvas, fit), after(flip, turn)))
    matrix = [[a, b, c], [d, e, f], [0.0, 0.0, 1.0]]
    if not cfg.perspective:
        return matrix
    tilt = tilted(canvas, [(2 * u - 1) * cfg.perspective for u in draws[14:22]])
    tilted_matrix: list[list[float]] = (tilt @ np.array(matrix)).tolist()
    return tilted_matrix


def _crop(
    size: Size, scale: tuple[float, float], ratio: tuple[float, float], draws: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A rectangle x, y, width, height; the ratio is held within what leaves the drawn area inside the image."""
    area = scale[0] + draws[0] * (scale[1] - scale[0])
    low, high = (min(max(bound, area), 1 / area) for bound in ratio)
    shape = low * (high / low) ** draws[1]
    width, height = size[1] * (area * shape) ** 0.5, size[0] * (area / shape) ** 0.5
    return draws[2] * (size[1] - width), draws[3] * (size[0] - height), width, height
