"""Jaccard loss, soft intersection over union."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.counts import OverlapCounts
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg


class JaccardLossCfg(OverlapLossCfg["JaccardLoss"]):
    """No options of its own."""


class JaccardLoss(OverlapLoss[JaccardLossCfg]):
    r"""One minus the Jaccard index, :math:`\sum p y / (\sum p + \sum y - \sum p y)`, per class.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = JaccardLoss(task="binary")
    >>> loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    tensor(0.5000)

    Source: Rahman and Wang 2016, doi:10.1007/978-3-319-50835-1_22.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        return counts.inter / (counts.pred + counts.target - counts.inter)


SoftIoU = SoftIoULoss = JaccardLoss
SoftIoUCfg = SoftIoULossCfg = JaccardLossCfg
