"""F-beta loss: Dice in which recall may matter more than precision."""

from __future__ import annotations

from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.functional.counts import OverlapCounts
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg


class FBetaLossCfg(OverlapLossCfg["FBetaLoss"]):
    beta: Positive = 1.0
    """How many times recall matters as much as precision; 1 is Dice."""


class FBetaLoss(OverlapLoss[FBetaLossCfg]):
    r"""One minus the F-beta score, :math:`(1 + \beta^2) TP / ((1 + \beta^2) TP + \beta^2 FN + FP)`, per class.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = FBetaLoss(task="binary", beta=2.0)
    >>> loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    tensor(0.4444)

    Source: van Rijsbergen 1979, Information Retrieval, chapter 7.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        square = self.cfg.beta**2
        return (1 + square) * counts.tp / (square * counts.target + counts.pred)
