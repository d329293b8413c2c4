"""Quantile loss: prices for too much and too little that differ."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Unit
from dltools.losses.element import ElementLoss, ElementLossCfg


class QuantileLossCfg(ElementLossCfg["QuantileLoss"]):
    q: Unit = 0.5
    """Price of a prediction that is too low, 1 - q of one too high; the best prediction is this quantile."""


class QuantileLoss(ElementLoss[QuantileLossCfg]):
    r"""Pinball loss, :math:`\max(q (y - \hat y), (q - 1) (y - \hat y))`, mean over valid elements.

    Half of L1 for q = .5. Shapes: pred and target (N, ...), floats. Units of the target. Raises ShapeError.

    >>> import torch
    >>> QuantileLoss(q=0.9)(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor(0.5000)

    Source: Koenker and Bassett 1978, Regression Quantiles.
    """

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        short = target - pred
        return torch.maximum(self.cfg.q * short, (self.cfg.q - 1) * short)
