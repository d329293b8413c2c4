"""Dice and Jaccard with squares below, whose slope by a probability depends on it."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.counts import OverlapCounts
from dltools.functional.sums import ratio
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg


class SqDiceLossCfg(OverlapLossCfg["SqDiceLoss"]):
    """No options of its own."""


class SqDiceLoss(OverlapLoss[SqDiceLossCfg]):
    r"""One minus :math:`2 \sum p y / (\sum p^2 + \sum y^2)`, per class.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = SqDiceLoss(task="binary")
    >>> loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    tensor(0.2000)

    Source: Milletari et al. 2016, arXiv:1606.04797.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        return ratio(2 * counts.inter, counts.pred_sq + counts.target_sq)


class SqJaccardLossCfg(OverlapLossCfg["SqJaccardLoss"]):
    """No options of its own."""


class SqJaccardLoss(OverlapLoss[SqJaccardLossCfg]):
    r"""One minus :math:`\sum p y / (\sum p^2 + \sum y^2 - \sum p y)`, per class.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = SqJaccardLoss(task="binary")
    >>> loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    tensor(0.3333)

    Source: the Tanimoto coefficient, Rogers and Tanimoto 1960, doi:10.1126/science.132.3434.1115.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        return ratio(counts.inter, counts.pred_sq + counts.target_sq - counts.inter)


SqDice = SqDiceLoss
SqDiceCfg = SqDiceLossCfg
SqJaccard = SqJaccardLoss
SqJaccardCfg = SqJaccardLossCfg
