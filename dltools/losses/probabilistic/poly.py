"""Poly loss: cross entropy with another weight for its first power of the error."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import PixelLoss


class PolyLossCfg(DenseLossCfg["PolyLoss"]):
    epsilon: Annotated[float, Ge(-1)] = 1.0
    """What is added to the weight of ``1 - p``; 0 is cross entropy."""


class PolyLoss(PixelLoss[PolyLossCfg]):
    r"""Poly-1 loss, :math:`-\log p_t + \epsilon (1 - p_t)`, mean over valid pixels.

    Cross entropy is :math:`\sum_j (1 - p_t)^j / j`; here the first of these terms has the weight
    :math:`1 + \epsilon`.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = PolyLoss(epsilon=2.0)
    >>> loss(torch.zeros(1, 2), torch.tensor([1]))
    tensor(1.6931)

    Source: Leng et al. 2022, arXiv:2204.12511.
    """

    def pixel(self, log_p: Tensor) -> Tensor:
        return -log_p - self.cfg.epsilon * torch.expm1(log_p)
