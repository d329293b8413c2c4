"""How two boxes lie to each other along x and y: lengths from which every index of boxes is made."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.functional.sums import ratio
from dltools.functional.widen import widen

FAR = 2.0**60
"""Coordinates beyond it count as if they were there, so that squares of areas fit into float32."""
SHORT = 2.0**-60
"""Lengths up to it count as 0, so that their inverse fits; no area of other sides is below its square."""


class Spans(NamedTuple):
    """Lengths along x and y, (..., 2), of boxes a and b; an inverted box has sides of 0."""

    over: Tensor
    """Of the overlap."""
    around: Tensor
    """Of the box that encloses all corners."""
    side_a: Tensor
    side_b: Tensor
    apart: Tensor
    """Corners of a less those of b, (..., 4)."""

    @property
    def shift(self) -> Tensor:
        """From the centre of b to that of a."""
        return (self.apart[..., :2] + self.apart[..., 2:]) / 2

    @property
    def growth(self) -> Tensor:
        """Sides of a less those of b; what is inverted has negative ones."""
        return self.apart[..., 2:] - self.apart[..., :2]

    @property
    def inter(self) -> Tensor:
        """Area of the overlap."""
        return area(self.over)

    @property
    def union(self) -> Tensor:
        """Area of both boxes together."""
        return area(self.side_a) + area(self.side_b) - self.inter

    @property
    def iou(self) -> Tensor:
        """Intersection over union."""
        return ratio(self.inter, self.union) + self._same_point

    @property
    def giou(self) -> Tensor:
        """IoU less the empty share of the enclosing box."""
        return self.iou + (ratio(self.union, area(self.around)) + self._same_point - 1)

    @property
    def _same_point(self) -> Tensor:
        """1 where both boxes are equal and have no area: ratios are 0/0 there, and mean 1."""
        equal = (self.apart == 0).all(-1)
        return (equal & (self.union == 0)).to(self.apart.dtype)


def spans(a: Tensor, b: Tensor) -> Spans:
    """Lengths of pairs of bounded boxes (..., 4) in the form xyxy."""
    first_a, last_a = a.chunk(2, -1)
    first_b, last_b = b.chunk(2, -1)
    begin, end = torch.maximum(first_a, first_b), torch.minimum(last_a, last_b)
    lowest = torch.minimum(torch.minimum(first_a, first_b), end)
    highest = torch.maximum(torch.maximum(last_a, last_b), begin)
    return Spans(
        over=length(end - begin),
        around=length(highest - lowest),
        side_a=length(last_a - first_a),
        side_b=length(last_b - first_b),
        apart=a - b,
    )


def bounded(x: Tensor) -> Tensor:
    """Boxes in float32 or better, no corner beyond ``FAR``."""
    return F.hardtanh(widen(x), -FAR, FAR)


def length(x: Tensor) -> Tensor:
    """A difference, 0 if it is negative or ``SHORT``."""
    return F.threshold(x, SHORT, 0.0)


def area(sides: Tensor) -> Tensor:
    """Product of the two sides, (..., 2) -> (...)."""
    return sides[..., 0] * sides[..., 1]
