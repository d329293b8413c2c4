"""Focal Tversky loss: a power of the Tversky loss, which turns to classes that overlap badly, or well."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive, Unit
from dltools.functional.counts import OverlapCounts
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg
from dltools.losses.statistical.tversky import tversky_index

_KNEE = 1e-6


class FocalTverskyLossCfg(OverlapLossCfg["FocalTverskyLoss"]):
    alpha: Unit = 0.5
    """Price of a false positive."""
    beta: Unit = 0.5
    """Price of a false negative."""
    gamma: Positive = 0.75
    """Power; below 1 it raises the slope near the optimum, above 1 it looks at what is bad."""


class FocalTverskyLoss(OverlapLoss[FocalTverskyLossCfg]):
    r""":math:`(1 - TI)^\gamma` per class, with the Tversky index :math:`TI = TP / (TP + \alpha FP + \beta FN)`.

    A power below 1 has no slope at 0, so where :math:`1 - TI` is less than 1e-6 its tangent there goes on in its place.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> loss = FocalTverskyLoss(task="binary", alpha=0.3, beta=0.7)
    >>> loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    tensor(0.5140)

    Source: Abraham and Khan 2018, arXiv:1810.07842.
    """

    def score(self, counts: OverlapCounts) -> Tensor:
        gamma, miss = self.cfg.gamma, 1 - tversky_index(counts, self.cfg.alpha, self.cfg.beta)
        tangent = _KNEE**gamma + gamma * _KNEE ** (gamma - 1) * (miss - _KNEE)
        return 1 - torch.where(miss < _KNEE, tangent, miss.clamp_min(_KNEE) ** gamma)
