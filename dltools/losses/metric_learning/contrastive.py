"""Contrastive loss: pairs of one label are drawn together, others pushed apart up to a margin."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.losses.embedding import EmbeddingLoss, EmbeddingLossCfg, Needs, partners
from dltools.losses.metric_learning.similarity import distances, mean_of


class ContrastiveLossCfg(EmbeddingLossCfg["ContrastiveLoss"]):
    margin: NonNegative = 1.0
    """Distance from which samples of different labels are far enough."""


class ContrastiveLoss(EmbeddingLoss[ContrastiveLossCfg]):
    r"""Contrastive loss, :math:`\frac12 d^2` for pairs of one label, else :math:`\frac12 \max(0, m - d)^2`.

    Mean over all pairs of the batch; :math:`d` is the Euclidean distance.

    Shapes: pred (N, D), target (N,) of integers. Raises ShapeError.

    >>> loss = ContrastiveLoss()
    >>> loss(torch.tensor([[0.0], [1.0], [1.5]]), torch.tensor([0, 0, 1]))
    tensor(0.2083)

    Source: Hadsell et al. 2006, Dimensionality reduction by learning an invariant mapping.
    """

    needs: Needs = "partner"

    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        d = distances(x, "euclidean")
        same, other = partners(labels)
        return mean_of(torch.where(same, d, (self.cfg.margin - d).clamp_min(0)).square() / 2, same | other)
