"""Focal loss: cross entropy that turns from what is easy to what is hard."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative, Unit
from dltools.errors import ConfigError
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import Normalizer, SidedPixelLoss


class FocalLossCfg(DenseLossCfg["FocalLoss"]):
    gamma: NonNegative = 2.0
    """How much easy pixels are played down; 0 is cross entropy."""
    alpha: Unit | None = None
    """Weight of positives, 1 - alpha of negatives, for binary and multilabel tasks; no part of the normaliser."""
    normalizer: Normalizer = "valid"
    """What the mean divides by; detectors take the number of positives, at least 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multiclass" and (self.alpha is not None or self.normalizer == "positives"):
            raise ConfigError(
                "alpha and normalizer='positives' need positives and negatives",
                expected="task='binary' or 'multilabel'",
                hint="class_weights for a multiclass task",
            )


class FocalLoss(SidedPixelLoss[FocalLossCfg]):
    r"""Focal loss, :math:`-\alpha_t (1 - p_t)^\gamma \log p_t`, mean over valid pixels.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = FocalLoss(task="binary", alpha=0.25)
    >>> loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4, dtype=torch.long))
    tensor(0.0433)

    Source: Lin et al. 2017, arXiv:1708.02002.
    """

    def setup(self) -> None:
        self.normalizer: Normalizer = self.cfg.normalizer

    def pixel(self, log_p: Tensor, positive: Tensor) -> Tensor:
        loss = fading(log_p, self.cfg.gamma)
        if self.cfg.alpha is None:
            return loss
        rest = 1 - self.cfg.alpha
        return loss * (positive.to(loss.dtype) * (self.cfg.alpha - rest) + rest)


def fading(log_p: Tensor, gamma: float) -> Tensor:
    r"""Cross entropy that fades as it is met, :math:`-(1 - p)^\gamma \log p`.

    >>> fading(torch.tensor([0.5, 1.0]).log(), 2.0)
    tensor([0.1733, 0.0000])
    """
    if gamma >= 2 or gamma.is_integer():
        return -log_p * (-torch.expm1(log_p)) ** gamma
    # a power of 0 has no slope, or the slope has none: where the target is certain, 0 with slope 0
    certain = log_p > -torch.finfo(log_p.dtype).tiny
    log_p = log_p.masked_fill(certain, -1)
    return (-log_p * (-torch.expm1(log_p)) ** gamma).masked_fill(certain, 0)
