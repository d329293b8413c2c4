"""Alpha-IoU loss: a power of IoU, which weighs good boxes more."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from dltools.functional.boxes import box_iou
from dltools.losses.box import BoxLoss, BoxLossCfg


class AlphaIoULossCfg(BoxLossCfg["AlphaIoULoss"]):
    alpha: Annotated[float, Ge(1)] = 3.0
    """The power; 1 is IoU."""


class AlphaIoULoss(BoxLoss[AlphaIoULossCfg]):
    r"""One minus a power of IoU, :math:`1 - (I / U)^\alpha`; mean over pairs of boxes.

    Shapes: pred and target (N, 4); mask and weight_map (N,). Raises ShapeError.

    >>> import torch
    >>> AlphaIoULoss()(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    tensor(0.8750)

    Source: He et al. 2021, arXiv:2110.13675.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        iou = box_iou(pred, target)
        none = iou == 0  # where a power below 2 has no second slope
        return 1 - (iou.masked_fill(none, 1) ** self.cfg.alpha).masked_fill(none, 0)
