"""Supervised contrastive loss: each sample against all others, with those of its label as answers."""

from __future__ import annotations

from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.losses.embedding import EmbeddingLoss, EmbeddingLossCfg, partners
from dltools.losses.metric_learning.similarity import cosines, log_sum, mean_of


class SupConLossCfg(EmbeddingLossCfg["SupConLoss"]):
    temperature: Positive = 0.1
    """What cosines are divided by."""


class SupConLoss(EmbeddingLoss[SupConLossCfg]):
    r"""Supervised contrastive loss, the one whose mean stands outside of the logarithm.

    :math:`-\frac{1}{|P(i)|} \sum_{p \in P(i)} \log \frac{e^{s_{ip}/\tau}}{\sum_{a \ne i} e^{s_{ia}/\tau}}` with
    cosines :math:`s`; mean over samples that have a positive.

    Shapes: pred (N, D), target (N,) of integers. Raises ShapeError.

    >>> import torch
    >>> loss = SupConLoss(temperature=1.0)
    >>> loss(torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1]))
    tensor(0.5514)

    Source: Khosla et al. 2020, arXiv:2004.11362.
    """

    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        s = cosines(x, x) / self.cfg.temperature
        same, other = partners(labels)
        return log_sum(s, same | other) - mean_of(s, same)
