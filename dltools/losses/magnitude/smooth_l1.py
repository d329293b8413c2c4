"""Smooth L1 loss: the absolute error with a round corner."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.losses.element import ElementLoss, ElementLossCfg


class SmoothL1LossCfg(ElementLossCfg["SmoothL1Loss"]):
    beta: NonNegative = 1.0
    """Error at which the line begins, in units of the target; 0 is L1."""


class SmoothL1Loss(ElementLoss[SmoothL1LossCfg]):
    r"""Smooth L1, :math:`e^2 / (2 \beta)` for :math:`|e| < \beta`, else :math:`|e| - \beta / 2`; mean.

    Equals ``torch.nn.functional.smooth_l1_loss``. Shapes: pred and target (N, ...), floats. Raises ShapeError.

    >>> import torch
    >>> SmoothL1Loss(beta=2.0)(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 5.0]))
    tensor(1.1250)

    Source: Girshick 2015, arXiv:1504.08083.
    """

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(pred, target, reduction="none", beta=self.cfg.beta)
