"""EIoU loss: IoU, the distance of the centres, and the sides."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.boxes import box_spans
from dltools.functional.sums import ratio
from dltools.losses.box import BoxLoss, BoxLossCfg


class EIoULossCfg(BoxLossCfg["EIoULoss"]):
    """No options of its own."""


class EIoULoss(BoxLoss[EIoULossCfg]):
    r"""Efficient IoU loss, :math:`1 - I/U + \rho^2 / (w_c^2 + h_c^2) + (w - w_t)^2 / w_c^2 + (h - h_t)^2 / h_c^2`.

    Mean over pairs of boxes. :math:`\rho` is the distance of the centres, :math:`w_c, h_c` are the sides of the box
    that encloses both. Shapes: pred and target (N, 4); mask and weight_map (N,). Raises ShapeError.

    >>> import torch
    >>> EIoULoss()(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 2.0]]))
    tensor(1.2292)

    Source: Zhang et al. 2021, arXiv:2101.08158.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        s = box_spans(pred, target)
        around = s.around.square()
        distance = ratio(s.shift.square().sum(-1), around.sum(-1))
        return 1 - s.iou + distance + ratio(s.growth.square(), around).sum(-1)
