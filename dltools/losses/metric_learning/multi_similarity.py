"""Multi-similarity loss: pairs weigh by how they compare with others of their anchor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative, Positive
from dltools.losses.embedding import EmbeddingLoss, EmbeddingLossCfg, Needs, partners
from dltools.losses.metric_learning.similarity import cosines


class MultiSimilarityLossCfg(EmbeddingLossCfg["MultiSimilarityLoss"]):
    alpha: Positive = 2.0
    """Sharpness for positives."""
    beta: Positive = 50.0
    """Sharpness for negatives."""
    base: float = 1.0
    """Similarity at which a pair weighs half."""
    epsilon: NonNegative = 0.1
    """Pairs that are easier by more than this than the hardest of the other kind are left out."""


class MultiSimilarityLoss(EmbeddingLoss[MultiSimilarityLossCfg]):
    r"""Multi-similarity loss of cosines :math:`s`, mean over samples.

    :math:`\frac1\alpha \log(1 + \sum_p e^{-\alpha (s_{ip} - \lambda)}) + \frac1\beta \log(1 + \sum_n e^{\beta (s_{in}
    - \lambda)})`, over positives with :math:`s_{ip} < \max_n s_{in} + \epsilon` and negatives with
    :math:`s_{in} > \min_p s_{ip} - \epsilon`; :math:`\lambda` is ``base``. A sample without positives, or without
    negatives, has no such pairs: its loss is 0.

    Shapes: pred (N, D), target (N,) of integers. Raises ShapeError.

    >>> loss = MultiSimilarityLoss(alpha=1.0, beta=1.0)
    >>> loss(torch.ones(3, 2), torch.tensor([0, 0, 1]))
    tensor(0.9242)

    Source: Wang et al. 2019, arXiv:1904.06627.
    """

    needs: Needs = "partner"

    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        cfg, s = self.cfg, cosines(x, x)
        same, other = partners(labels)
        least = s.detach().masked_fill(~same, torch.inf).amin(1, keepdim=True)
        most = s.detach().masked_fill(~other, -torch.inf).amax(1, keepdim=True)
        positives = _one_more(-cfg.alpha * (s - cfg.base), same & (s < most + cfg.epsilon))
        negatives = _one_more(cfg.beta * (s - cfg.base), other & (s > least - cfg.epsilon))
        return positives / cfg.alpha + negatives / cfg.beta


def _one_more(x: Tensor, where: Tensor) -> Tensor:
    """``log(1 + sum of exponentials)`` of what counts."""
    return F.pad(x.masked_fill(~where, -torch.inf), (1, 0)).logsumexp(1)
