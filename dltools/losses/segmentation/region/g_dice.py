"""Generalised Dice loss: one ratio for all classes, in which rare ones weigh more."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dltools.functional.counts import OverlapCounts
from dltools.functional.sums import ratio
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg

_POWER = {"square": 2, "simple": 1, "uniform": 0}


class GDiceLossCfg(OverlapLossCfg["GDiceLoss"]):
    weighting: Literal["square", "simple", "uniform"] = "square"
    """Weight of a class by the sum of its target: 1/T², 1/T or 1."""


class GDiceLoss(OverlapLoss[GDiceLossCfg]):
    r"""One minus :math:`2 \sum_c w_c I_c / \sum_c w_c (P_c + T_c)` with :math:`w_c = 1 / T_c^2`.

    It is a mean of the Dice losses of the classes, in which a class weighs :math:`w_c (P_c + T_c)`; so ``classes`` and
    ``class_weights`` mean what they do elsewhere, and a class absent from the target is left out, or with ``empty`` has
    the share that it has in a plain mean. ``reduction="none"`` gives what each class adds to the loss.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> loss = GDiceLoss()
    >>> loss(torch.zeros(1, 2, 2, 2), torch.tensor([[[0, 1], [1, 1]]]))
    tensor(0.6250)

    Source: Sudre et al. 2017, arXiv:1707.03237.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        return 2 * counts.inter / (counts.pred + counts.target)

    def importance(self, share: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        sizes = target.detach()
        here = share * (sizes > 0)
        sizes = sizes.masked_fill(here == 0, torch.inf)
        weight = (sizes.amin(-1, keepdim=True) / sizes).masked_fill(here == 0, 0) ** _POWER[self.cfg.weighting]
        own = here * weight * (pred + target)
        shares = ratio(own * here.sum(-1, keepdim=True), own.sum(-1, keepdim=True)) + (share - here)
        return ratio(shares, shares.sum(-1, keepdim=True))


GDice = GeneralizedDiceLoss = GDiceLoss
GDiceCfg = GeneralizedDiceLossCfg = GDiceLossCfg
