"""Surface loss with one of edges: where a surface lies, and that it is one."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.functional.edges import dilate, erode
from dltools.functional.overlap import OnePass
from dltools.functional.sums import add_up, apart, ratio
from dltools.losses.distutils import Sums
from dltools.losses.field import ChosenLoss, FieldLossCfg, valid_of
from dltools.losses.segmentation.masks import soft_masks, target_distance
from dltools.losses.view import View


class Surface2EdgeLossCfg(FieldLossCfg["Surface2EdgeLoss"]):
    edge_weight: NonNegative = 1.0
    """Weight of the loss of edges."""


class Surface2EdgeLoss(ChosenLoss[Surface2EdgeLossCfg]):
    r"""Mean of :math:`p \phi`, the ``SurfaceLoss``, plus :math:`w (1 - 2 \sum e_p e_y / (\sum e_p + \sum e_y))`.

    An assumption: the name has no definition that is known to the public. :math:`e_m` are the ``soft_edges`` of a mask;
    a class without edges in the target is left out of the mean of the second part. ``reduction="none"`` gives both
    parts of each class, (C,). Excluded pixels are as if beyond the image's border.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> loss = Surface2EdgeLoss(task="binary", holds="probs")
    >>> mask = torch.tensor([[[[0.0, 0.0, 1.0, 0.0, 0.0]]]])
    >>> loss(torch.ones(1, 1, 1, 5), mask), loss(mask, mask)
    (tensor(2.2000), tensor(0.))

    Source: of its parts, arXiv:1812.07032 and arXiv:1608.04117.
    """

    def sums(self, view: View) -> Sums:
        passed = self.look(view)
        edges_p, edges_y = (_edges(mask, passed) for mask in (passed.prob, soft_masks(passed)))
        parts = {"surface": passed.prob * target_distance(passed), "inter": edges_p * edges_y}
        sums: Sums = {}
        for name, field in (parts | {"pred": edges_p, "target": edges_y}).items():
            field, sums["weight"] = self.weighted(passed, field)
            sums[name] = apart(add_up(field)).sum(0)
        return sums

    def value(self, sums: Sums) -> Tensor:
        here = sums["target"] != 0
        dice = ratio(2 * sums["inter"], sums["pred"] + sums["target"])
        surface = self.reduced(sums["surface"], sums["weight"])
        return surface + self.cfg.edge_weight * self.reduced((1 - dice) * here, here.to(dice.dtype))


def _edges(mask: Tensor, passed: OnePass) -> Tensor:
    """Soft edges among the pixels that count; ``mask`` is 0 elsewhere."""
    return dilate(mask) - erode(torch.where(valid_of(passed), mask, 1))
