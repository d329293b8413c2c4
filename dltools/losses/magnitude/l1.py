"""L1 loss, the mean absolute error."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dltools.losses.element import ElementLoss, ElementLossCfg


class L1LossCfg(ElementLossCfg["L1Loss"]):
    """No options of its own."""


class L1Loss(ElementLoss[L1LossCfg]):
    r"""Absolute error, :math:`|e|` with :math:`e = \hat y - y`, mean over valid elements.

    Shapes: pred and target (N, ...), floats. Units of the target. Raises ShapeError.

    >>> import torch
    >>> L1Loss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0]))
    tensor(1.5000)
    """

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(pred, target, reduction="none")


L1 = MAE = MAELoss = L1Loss
L1Cfg = MAECfg = MAELossCfg = L1LossCfg
