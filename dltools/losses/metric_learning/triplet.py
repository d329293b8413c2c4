"""Triplet loss: a sample is nearer to those of its label than to others, by a margin."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.losses.embedding import EmbeddingLoss, EmbeddingLossCfg, Needs, partners
from dltools.losses.metric_learning.similarity import Distance, distances, mean_of


class TripletLossCfg(EmbeddingLossCfg["TripletLoss"]):
    margin: NonNegative = 0.2
    """How much farther a negative must be than a positive."""
    mining: Literal["semihard", "hard", "all"] = "semihard"
    """Negatives of each pair: the nearest beyond the positive (or the farthest, if none is); for each sample its
    farthest positive and nearest negative; or all."""
    distance: Distance = "squared"
    """Squared Euclidean as in the paper, whose vectors have length 1; Euclidean; or 1 less the cosine."""


class TripletLoss(EmbeddingLoss[TripletLossCfg]):
    r"""Triplet loss, :math:`\max(0, d(a, p) - d(a, n) + m)`, mean over triplets of an anchor, then over anchors.

    An anchor needs a positive (of the same label) and a negative.

    Shapes: pred (N, D), target (N,) of integers. Raises ShapeError.

    >>> loss = TripletLoss(margin=1.0, mining="hard", distance="euclidean")
    >>> loss(torch.tensor([[0.0], [1.0], [1.5]]), torch.tensor([0, 0, 1]))
    tensor(1.)

    Source: Schroff et al. 2015, arXiv:1503.03832; mining of the hardest: Hermans et al. 2017, arXiv:1703.07737.
    """

    needs: Needs = "both"

    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        d = distances(x, self.cfg.distance)
        same, other = partners(labels)
        negatives = d.masked_fill(~other, torch.inf)
        if self.cfg.mining == "hard":
            return (d.masked_fill(~same, -torch.inf).amax(1) - negatives.amin(1) + self.cfg.margin).clamp_min(0)
        ordered, num = negatives.sort(1)[0], other.sum(1, keepdim=True)
        if self.cfg.mining == "semihard":
            farther = torch.searchsorted(ordered.detach(), d.detach(), right=True)
            nearest = ordered.gather(1, farther.clamp_max(num - 1).clamp_min(0))
            return mean_of((d - nearest + self.cfg.margin).clamp_min(0), same)
        # of sorted negatives the first ones violate the margin: their sum, in place of all triplets
        reach = d + self.cfg.margin
        violate = torch.searchsorted(ordered.detach(), reach.detach()).clamp_max(num)
        sums = ordered.masked_fill(ordered.isinf(), 0).cumsum(1)
        below = torch.cat([torch.zeros_like(sums[:, :1]), sums], 1).gather(1, violate)
        return mean_of((violate * reach - below) / num.clamp_min(1), same)
