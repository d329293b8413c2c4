"""Huber loss: squares of small errors, a straight line for large ones."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.losses.element import ElementLoss, ElementLossCfg


class HuberLossCfg(ElementLossCfg["HuberLoss"]):
    delta: Positive = 1.0
    """Error at which the line begins, in units of the target; also its slope."""


class HuberLoss(ElementLoss[HuberLossCfg]):
    r"""Huber loss, :math:`e^2 / 2` for :math:`|e| < \delta`, else :math:`\delta (|e| - \delta / 2)`; mean.

    Equals ``torch.nn.functional.huber_loss``. Shapes: pred and target (N, ...), floats. Raises ShapeError.

    >>> import torch
    >>> HuberLoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0]))
    tensor(1.2500)

    Source: Huber 1964, Robust Estimation of a Location Parameter.
    """

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(pred, target, reduction="none", delta=self.cfg.delta)


Huber = HuberLoss
HuberCfg = HuberLossCfg
