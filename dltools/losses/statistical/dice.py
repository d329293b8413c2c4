"""Dice loss, the soft F1 score."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.counts import OverlapCounts
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg


class DiceLossCfg(OverlapLossCfg["DiceLoss"]):
    """No options of its own."""


class DiceLoss(OverlapLoss[DiceLossCfg]):
    r"""One minus the Dice coefficient, :math:`2 \sum p y / (\sum p + \sum y)`, per class.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = DiceLoss(task="binary")
    >>> loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    tensor(0.3333)

    Source: Drozdzal et al. 2016, arXiv:1608.04117.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        return 2 * counts.inter / (counts.pred + counts.target)


F1Loss = SoftDICE = SoftDiceLoss = DiceLoss
F1LossCfg = SoftDICECfg = SoftDiceLossCfg = DiceLossCfg
