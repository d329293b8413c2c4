"""Charbonnier loss: L1 with a corner as round as wanted."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.losses.element import ElementLoss, ElementLossCfg


class CharbonnierLossCfg(ElementLossCfg["CharbonnierLoss"]):
    eps: Positive = 1e-3
    """Loss of no error, and how round the corner is, in units of the target."""


class CharbonnierLoss(ElementLoss[CharbonnierLossCfg]):
    r"""Charbonnier penalty, :math:`\sqrt{e^2 + \epsilon^2}`, mean over valid elements.

    Shapes: pred and target (N, ...), floats. Units of the target. Raises ShapeError.

    >>> import torch
    >>> CharbonnierLoss(eps=3.0)(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 0.0]))
    tensor(4.)

    Source: Charbonnier et al. 1994; as a loss of images Lai et al. 2017, arXiv:1704.03915.
    """

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        error = pred - target
        return torch.hypot(error, torch.full((), self.cfg.eps, dtype=error.dtype, device=error.device))
