"""Poisson negative log-likelihood: a regression of counts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.losses.element import ElementLoss, ElementLossCfg


class PoissonNLLLossCfg(ElementLossCfg["PoissonNLLLoss"]):
    log_input: bool = True
    """Whether ``pred`` is the logarithm of the rate, or the rate."""
    full: bool = False
    """Also add Stirling's approximation of ``log(target!)``, for targets above 1."""
    eps: Positive = 1e-8
    """Added to a rate before its logarithm is taken; a rate below 0 counts as 0 there."""


class PoissonNLLLoss(ElementLoss[PoissonNLLLossCfg]):
    r"""Poisson negative log-likelihood, :math:`e^z - y z`, or :math:`z - y \log z` for rates; mean over elements.

    Equals ``torch.nn.functional.poisson_nll_loss``. The exponential is by definition: it overflows for large
    logarithms.

    Shapes: pred and target of one shape (N, ...), floats; targets are counts. Raises ShapeError.

    >>> loss = PoissonNLLLoss()
    >>> loss(torch.zeros(2), torch.tensor([0.0, 3.0]))
    tensor(1.)
    """

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        if self.cfg.log_input:
            loss = pred.exp() - target * pred
        else:
            loss = pred - target * (pred.clamp_min(0) + self.cfg.eps).log()
        if not self.cfg.full:
            return loss
        n = target.clamp_min(1)
        return loss + torch.where(target > 1, n * n.log() - n + (2 * math.pi * n).log() / 2, 0)
