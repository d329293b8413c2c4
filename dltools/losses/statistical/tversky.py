"""Tversky loss: Dice with separate prices for false alarms and misses."""

from __future__ import annotations

from torch import Tensor

from dltools.cfgutils.annotations import Unit
from dltools.functional.counts import OverlapCounts
from dltools.functional.sums import ratio
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg


class TverskyLossCfg(OverlapLossCfg["TverskyLoss"]):
    alpha: Unit = 0.5
    """Price of a false positive; 0.5/0.5 is Dice, 1/1 is Jaccard."""
    beta: Unit = 0.5
    """Price of a false negative."""


class TverskyLoss(OverlapLoss[TverskyLossCfg]):
    r"""One minus the Tversky index, :math:`TP / (TP + \alpha FP + \beta FN)`, per class.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = TverskyLoss(task="binary", alpha=0.3, beta=0.7)
    >>> loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    tensor(0.4118)

    Source: Salehi et al. 2017, arXiv:1706.05721.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        return tversky_index(counts, self.cfg.alpha, self.cfg.beta)


def tversky_index(counts: OverlapCounts, alpha: float, beta: float) -> Tensor:
    """Tversky index; 0 where it is 0/0, as it may be with a price of 0."""
    return ratio(counts.tp, counts.tp + alpha * counts.fp + beta * counts.fn)


TverskiyLoss = TverskyLoss
TverskiyLossCfg = TverskyLossCfg
