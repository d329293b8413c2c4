"""Mean squared error, the L2 loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dltools.losses.element import ElementLoss, ElementLossCfg


class MSELossCfg(ElementLossCfg["MSELoss"]):
    """No options of its own."""


class MSELoss(ElementLoss[MSELossCfg]):
    r"""Squared error, :math:`e^2` with :math:`e = \hat y - y`, mean over valid elements.

    Shapes: pred and target (N, ...), floats. Units of the target, squared. Raises ShapeError.

    >>> import torch
    >>> MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0]))
    tensor(4.5000)
    """

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(pred, target, reduction="none")


MSE = L2Loss = MSELoss
MSECfg = L2LossCfg = MSELossCfg
