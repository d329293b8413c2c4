"""Boxes under a matrix: what is invalid before, and what is left after. Only numpy, no loop over boxes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dltools.cfgutils.annotations import NonNegative, Unit
from dltools.cfgutils.record import Record
from dltools.errors import ShapeError

Floats = NDArray[np.float64]
Kept = NDArray[np.bool_]


class BoxPolicy(Record):
    """What happens to boxes that are wrong, or that leave the canvas."""

    on_invalid: Literal["clip", "drop", "raise"] = "clip"
    """A box that is not finite, inverted, without area or past the canvas: cut to the canvas (dropped if nothing is
    left), dropped, or an error."""
    min_area: NonNegative = 1.0
    """Square pixels that must be left on the canvas."""
    min_visibility: Unit = 0.1
    """Share of the moved box's area that must be left on the canvas."""


def valid_boxes(boxes: NDArray[Any], size: tuple[int, int] | None, policy: BoxPolicy, name: str) -> tuple[Floats, Kept]:
    """Boxes as float64, cut to a canvas (H, W) if there is one, and which of them are kept.

    Raises ShapeError for an array that is not (N, 4), and for an invalid box if the policy says so.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes of shape {boxes.shape} in {name}", expected="(N, 4): x1 y1 x2 y2", hint="none: (0, 4)")
    given = boxes.astype(np.float64)
    cut = clipped(given, size) if size else given
    finite = np.isfinite(given).all(1)
    full = finite & (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])
    if policy.on_invalid == "clip":
        return cut, full
    valid = full & (cut == given).all(1)
    if policy.on_invalid == "raise" and not valid.all():
        row = int(np.argmin(valid))
        raise ShapeError(
            f"box {row} of {name} is {boxes[row].tolist()}",
            expected=f"finite x1 < x2, y1 < y2 within the canvas (H, W) = {size}",
            hint='BoxPolicy(on_invalid="clip") cuts such boxes to the canvas, "drop" leaves them out',
        )
    return cut, valid


def moved_boxes(boxes: Floats, matrix: Floats) -> Floats:
    """The tight upright boxes around the images of boxes (N, 4) under a matrix (3, 3) that acts on pixel edges."""
    corners = moved_points(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2), matrix).reshape(-1, 4, 2)
    return np.concatenate([corners.min(1), corners.max(1)], 1)


def moved_points(points: Floats, matrix: Floats) -> Floats:
    """Images of points (N, 2) under a matrix (3, 3)."""
    homogeneous = points @ matrix[:, :2].T + matrix[:, 2]
    # what lies on or behind the horizon of a perspective goes to infinity, and is off every canvas
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(homogeneous[:, 2:] > 0, homogeneous[:, :2] / homogeneous[:, 2:], np.inf)


def visible_boxes(boxes: Floats, size: tuple[int, int], policy: BoxPolicy) -> tuple[Floats, Kept]:
    """Boxes cut to a canvas (H, W), and which of them the policy keeps: enough of their area is left."""
    cut = clipped(boxes, size)
    with np.errstate(invalid="ignore"):  # a box that reaches beyond the horizon of a perspective has no area, and goes
        left, least = area(cut), policy.min_visibility * area(boxes)
        return cut, (left > 0) & (left >= policy.min_area) & (left >= least)


def clipped(boxes: Floats, size: tuple[int, int]) -> Floats:
    """Boxes with every edge moved onto the canvas (H, W)."""
    limit = np.array([size[1], size[0], size[1], size[0]], dtype=np.float64)
    return np.minimum(np.maximum(boxes, 0.0), limit)


def area(boxes: Floats) -> Floats:
    """Square pixels of each box; 0 if inverted."""
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0.0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0.0)
