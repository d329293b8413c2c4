"""Asymmetric loss: easy negatives fade faster than positives, and the easiest do not count at all."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative, Unit
from dltools.errors import ConfigError
from dltools.functional.targets import Task
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import SidedPixelLoss
from dltools.losses.probabilistic.focal import fading


class AsymmetricLossCfg(DenseLossCfg["AsymmetricLoss"]):
    task: Task = "multilabel"
    """Classes that do not exclude each other, or one class."""
    gamma_pos: NonNegative = 1.0
    """How much easy positives are played down."""
    gamma_neg: NonNegative = 4.0
    """How much easy negatives are played down."""
    clip: Unit = 0.05
    """What is taken off the probability of a negative; below it nothing is lost."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multiclass":
            raise ConfigError("task='multiclass'", expected="'multilabel' or 'binary'", hint="FocalLoss for classes")


class AsymmetricLoss(SidedPixelLoss[AsymmetricLossCfg]):
    r"""Asymmetric loss of labels that are mostly absent, mean over valid elements.

    :math:`-(1 - p)^{\gamma_+} \log p` for positives, :math:`-p_m^{\gamma_-} \log(1 - p_m)` for negatives, where
    :math:`p_m = \max(p - m, 0)` and :math:`m` is ``clip``.

    Shapes: pred and target (N, C, *S), integers 0 and 1 or shares. Raises ShapeError.

    >>> loss = AsymmetricLoss(gamma_pos=0.0, gamma_neg=2.0, clip=0.1)
    >>> loss(torch.zeros(1, 2), torch.tensor([[1, 0]]))
    tensor(0.3874)

    Source: Ridnik et al. 2020, arXiv:2009.14119; the defaults are those of its authors' code.
    """

    def pixel(self, log_p: Tensor, positive: Tensor) -> Tensor:
        clipped = (log_p.exp() + self.cfg.clip).clamp_max(1).log() if self.cfg.clip else log_p
        return torch.where(positive, fading(log_p, self.cfg.gamma_pos), fading(clipped, self.cfg.gamma_neg))
