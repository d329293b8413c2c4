"""Log-cosh loss: half a square near 0, a straight line far away, smooth everywhere."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.losses.element import ElementLoss, ElementLossCfg


class LogCoshLossCfg(ElementLossCfg["LogCoshLoss"]):
    """No options of its own."""


class LogCoshLoss(ElementLoss[LogCoshLossCfg]):
    r"""Logarithm of the hyperbolic cosine of the error, :math:`\log \cosh e`, mean over valid elements.

    Exact for errors that are tiny, where it is :math:`e^2 / 2`, and finite for large ones, where it is
    :math:`|e| - \log 2`. Shapes: pred and target (N, ...), floats. Raises ShapeError.

    >>> import torch
    >>> LogCoshLoss()(torch.tensor([1e-4, 1e4]), torch.zeros(2)) * 2
    tensor(9999.3066)
    """

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        error = pred - target
        size = error.abs()
        near = torch.log1p(2 * torch.sinh(error.clamp(-1, 1) / 2).square())
        far = size + F.softplus(-2 * size) - math.log(2)
        return torch.where(size < 1, near, far)
