"""Boundary F1 loss: whether boundaries are found within a tolerance."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.functional.edges import dilate, erode
from dltools.losses.overlap import OverlapLossCfg
from dltools.losses.segmentation.thin import ThinLoss, worn


class BoundaryF1LossCfg(OverlapLossCfg["BoundaryF1Loss"]):
    width: PositiveInt = 1
    """Of a boundary, in pixels inside the mask; the paper's window is twice as much and one."""
    tolerance: PositiveInt = 2
    """How many pixels a boundary may be off; the paper's window likewise."""


class BoundaryF1Loss(ThinLoss[BoundaryF1LossCfg]):
    r"""One minus :math:`2 P R / (P + R)`, :math:`P = \sum b_p w_y / \sum b_p`, :math:`R = \sum b_y w_p / \sum b_y`.

    :math:`b_m` is the soft boundary of a mask, what an erosion takes away from it, and :math:`w_m` that boundary
    widened by the tolerance. A class without a boundary in the target is treated as absent. Excluded pixels are as if
    beyond the image's border.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> loss = BoundaryF1Loss(task="binary", holds="probs")
    >>> mask = torch.tensor([[[[0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]]])
    >>> loss(mask, mask), loss(0.5 * mask, mask), loss(mask.roll(3, -1), mask)
    (tensor(0.), tensor(0.3333), tensor(0.5000))

    Source: Bokhovkin and Burnaev 2019, arXiv:1905.07852.
    """

    def thin(self, mask: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        inner = mask
        for _ in range(self.cfg.width):
            inner = worn(erode, inner, valid)
        boundary = wide = mask - inner
        for _ in range(self.cfg.tolerance):
            wide = torch.where(valid, dilate(wide), 0)
        return boundary, wide
