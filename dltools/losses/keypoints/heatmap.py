"""Heatmap loss: squared error of maps of key points, of which some cannot be seen."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from dltools.losses.element import ElementLoss, ElementLossCfg


class HeatmapLossCfg(ElementLossCfg["HeatmapLoss"]):
    """No options of its own."""


class HeatmapLoss(ElementLoss[HeatmapLossCfg]):
    r"""Squared error of heatmaps, :math:`(\hat y - y)^2`, mean over the pixels of visible points.

    Shapes: pred and target (N, K, *S), floats; mask and weight_map, the visibility, (N, K), or (N, 1, *S) for pixels.
    Raises ShapeError.

    >>> import torch
    >>> loss = HeatmapLoss()
    >>> loss(torch.ones(1, 2, 4, 4), torch.full((1, 2, 4, 4), 0.5), mask=torch.tensor([[True, False]]))
    tensor(0.2500)

    Source: Tompson et al. 2014, arXiv:1406.2984.
    """

    mask_dim: ClassVar[int] = -1

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(pred, target, reduction="none")
