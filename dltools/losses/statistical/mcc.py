"""Matthews correlation of prediction and target."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.counts import OverlapCounts
from dltools.functional.sums import ratio
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg


class MCCLossCfg(OverlapLossCfg["MCCLoss"]):
    """No options of its own."""


class MCCLoss(OverlapLoss[MCCLossCfg]):
    r"""One minus the Matthews correlation coefficient of soft counts, per class; 0 to 2, and 1 for a constant guess.

    .. math:: \frac{TP \cdot TN - FP \cdot FN}{\sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}}

    Where the root is 0, because a side has one class alone, the coefficient is 0 with zero gradient.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = MCCLoss(task="binary", holds="probs")
    >>> loss(torch.tensor([[0.0, 1.0, 1.0, 1.0]]), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.4226)

    Source: Matthews 1975, doi:10.1016/0005-2795(75)90109-9; as a loss Abhishek and Hamarneh 2020, arXiv:2010.13454.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        guessed, true = ratio(counts.pred, counts.total), counts.target / counts.total
        spread = guessed * (1 - guessed) * true * (1 - true)
        flat = spread <= 0
        root = spread.masked_fill(flat, 1).sqrt()
        return ((counts.inter / counts.total - guessed * true) / root).masked_fill(flat, 0)
