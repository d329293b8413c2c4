"""Wing loss: a logarithm of small errors of key points, a straight line for large ones."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.losses.element import ElementLoss, ElementLossCfg


class WingLossCfg(ElementLossCfg["WingLoss"]):
    w: Positive = 10.0
    """Error at which the line begins, in units of the target."""
    eps: Positive = 2.0
    """How far the logarithm bends, in the same units."""


class WingLoss(ElementLoss[WingLossCfg]):
    r"""Wing loss, :math:`w \ln(1 + |e| / \epsilon)` for :math:`|e| < w`, then a line of slope 1; mean.

    The mean is over the coordinates of visible points. Shapes: pred and target (N, K, 2) or any other, floats; mask and
    weight_map, the visibility, (N, K). Raises ShapeError.

    >>> import torch
    >>> WingLoss()(torch.tensor([[[10.0, -10.0]]]), torch.zeros(1, 1, 2))
    tensor(17.9176)

    Source: Feng et al. 2018, arXiv:1711.06753.
    """

    mask_dim: ClassVar[int] = -1

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        w, eps, size = self.cfg.w, self.cfg.eps, (pred - target).abs()
        return torch.where(size < w, w * torch.log1p(size / eps), size - w + w * math.log1p(w / eps))
