"""Hausdorff losses: errors weighted by how far they are from the edges of prediction and target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.functional.distance import both_distances
from dltools.functional.overlap import OnePass
from dltools.losses.field import FieldLoss, FieldLossCfg, valid_of
from dltools.losses.segmentation.masks import soft_masks


class HausdorffLossCfg(FieldLossCfg["HausdorffLoss"]):
    alpha: Positive = 2.0
    """Power of the distances: the larger, the more the farthest errors count."""


class HausdorffLoss(FieldLoss[HausdorffLossCfg]):
    r"""Mean of :math:`(p - y)^2 (d_p^\alpha + d_y^\alpha)`, an estimate of the Hausdorff distance by distance maps.

    :math:`d_m` is the distance in pixels to the other side of mask :math:`m`, inside and outside of it, and 0 for one
    that is everywhere or nowhere; the prediction's mask is :math:`p > 1/2`. Distances have no gradient. Excluded
    pixels are as if beyond the image's border.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> loss = HausdorffLoss(task="binary", holds="probs")
    >>> loss(torch.full((1, 1, 1, 5), 0.25), torch.tensor([[[[0, 0, 1, 0, 0]]]]))
    tensor(0.2375)

    Source: Karimi and Salcudean 2019, arXiv:1904.10030.
    """

    def field(self, view: OnePass) -> Tensor:
        y, valid = soft_masks(view), valid_of(view)
        masks = torch.cat([view.prob > 0.5, y > 0.5])
        inside, outside = both_distances(masks, torch.cat([valid, valid]), view.dtype)
        of_pred, of_target = (inside + outside).pow(self.cfg.alpha).chunk(2)
        return (view.prob - y).square() * (of_pred + of_target)


class HausdorffERLossCfg(FieldLossCfg["HausdorffERLoss"]):
    alpha: Positive = 2.0
    """Power of the number of erosions that an error survives."""
    erosions: PositiveInt = 10
    """How often errors are eroded."""


class HausdorffERLoss(FieldLoss[HausdorffERLossCfg]):
    r"""Mean of :math:`\sum_k k^\alpha ((p - y)^2 \ominus_k B)`, an estimate of the Hausdorff distance by erosions.

    Each erosion takes the mean of a pixel and its direct neighbours (0 beyond the border), less 1/2 but not below 0,
    and stretches what is left in each map to [0, 1]; so thick errors, which are those far from an edge, last longest.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> loss = HausdorffERLoss(task="binary", holds="probs")
    >>> loss(torch.zeros(1, 1, 1, 5), torch.tensor([[[[0, 1, 1, 1, 0]]]]))
    tensor(0.2000)

    Source: Karimi and Salcudean 2019, arXiv:1904.10030.
    """

    def field(self, view: OnePass) -> Tensor:
        error, valid = (view.prob - soft_masks(view)).square(), valid_of(view)
        if error.numel() == 0:
            return error
        total = torch.zeros_like(error)
        for k in range(1, self.cfg.erosions + 1):
            error = _stretch(torch.where(valid, (_mean_around(error) - 0.5).relu(), 0), valid)
            total = total + k**self.cfg.alpha * error
        return total


def _mean_around(x: Tensor) -> Tensor:
    """Mean of a pixel of (N, C, *S) and its 2d direct neighbours; 0 beyond the border."""
    total = x
    for dim in range(2, x.ndim):
        padded = F.pad(x, [0, 0] * (x.ndim - 1 - dim) + [1, 1])
        total = total + padded.narrow(dim, 0, x.shape[dim]) + padded.narrow(dim, 2, x.shape[dim])
    return total / (2 * x.ndim - 3)


def _stretch(x: Tensor, valid: Tensor) -> Tensor:
    """Maps of numbers 0 to 1/2, and 0 where excluded: the others to [0, 1], unless they are all equal."""
    pixels = list(range(2, x.ndim))
    low = torch.where(valid, x, 1).amin(pixels, keepdim=True)
    span = x.amax(pixels, keepdim=True) - low
    uneven = span > 0
    return torch.where(valid & uneven, (x - low) / torch.where(uneven, span, 1), x)


HausdorffDTLoss = HausdorffLoss
HausdorffDTLossCfg = HausdorffLossCfg
