"""NT-Xent: which of all samples is the other view of this one?"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.losses.embedding import EmbeddingLoss, EmbeddingLossCfg, partners
from dltools.losses.metric_learning.similarity import cosines, log_sum, mean_of


class NTXentLossCfg(EmbeddingLossCfg["NTXentLoss"]):
    temperature: Positive = 0.1
    """What cosines are divided by."""


class NTXentLoss(EmbeddingLoss[NTXentLossCfg]):
    r"""Normalised, temperature-scaled cross entropy of a positive against all negatives (InfoNCE).

    :math:`-\log \frac{e^{s_{ip}/\tau}}{e^{s_{ip}/\tau} + \sum_n e^{s_{in}/\tau}}` with cosines :math:`s`; mean over
    the positives of a sample, then over samples that have one. Views of one image have one label:
    ``torch.arange(n).repeat(2)`` for two views of n images. Of more than two, the other positives are no negatives.

    Shapes: pred (N, D), target (N,) of integers. Raises ShapeError.

    >>> import torch
    >>> loss = NTXentLoss(temperature=1.0)
    >>> loss(torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1]))
    tensor(0.5514)

    Source: Chen et al. 2020, arXiv:2002.05709.
    """

    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        s = cosines(x, x) / self.cfg.temperature
        same, other = partners(labels)
        return mean_of(-F.logsigmoid(s - log_sum(s, other).unsqueeze(1)), same)


InfoNCELoss = NTXentLoss
InfoNCELossCfg = NTXentLossCfg
