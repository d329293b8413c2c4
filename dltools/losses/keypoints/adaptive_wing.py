"""Adaptive wing loss: a wing for heatmaps, sharper where the target is high."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.losses.element import ElementLoss, ElementLossCfg


class AdaptiveWingLossCfg(ElementLossCfg["AdaptiveWingLoss"]):
    alpha: Annotated[float, Gt(2)] = 2.1
    """Power of small errors where the target is 0; alpha - 1, which must exceed 1, where it is 1."""
    omega: Positive = 14.0
    """Height of the logarithm."""
    eps: Positive = 1.0
    """How far it bends."""
    theta: Positive = 0.5
    """Error at which the line begins."""


class AdaptiveWingLoss(ElementLoss[AdaptiveWingLossCfg]):
    r"""Adaptive wing loss, :math:`\omega \ln(1 + (|e| / \epsilon)^{\alpha - y})` for :math:`|e| < \theta`, else a line.

    The line goes on with the same value and slope. Mean over the pixels of visible points, in float32 or better.
    Shapes: pred and target, heatmaps with values 0 to 1, (N, K, *S), floats; mask and weight_map, the visibility,
    (N, K), or (N, 1, *S) for pixels. A target out of range is left out and counted. Raises ShapeError.

    >>> import torch
    >>> AdaptiveWingLoss()(torch.tensor([[[0.25, 2.0]]]), torch.tensor([[[0.0, 1.0]]]))
    tensor(5.5006)

    Source: Wang et al. 2019, arXiv:1904.07399.
    """

    mask_dim: ClassVar[int] = -1
    shares: ClassVar[bool] = True

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        cfg, size, power = self.cfg, (pred - target).abs(), self.cfg.alpha - target
        top = (cfg.theta / cfg.eps) ** power
        slope = cfg.omega * power * top / (cfg.theta * (1 + top))
        line = slope * (size - cfg.theta) + cfg.omega * torch.log1p(top)
        right = size == 0  # a power below 2 has no second slope there
        bent = cfg.omega * torch.log1p((size.masked_fill(right, cfg.theta).clamp_max(cfg.theta) / cfg.eps) ** power)
        return torch.where(size < cfg.theta, bent.masked_fill(right, 0), line)
