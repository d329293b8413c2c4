"""SIoU loss: IoU, the distance of the centres with the direction to go first, and the shape."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from dltools.functional.boxes import box_spans
from dltools.functional.spans import area, length
from dltools.functional.sums import ratio
from dltools.losses.box import BoxLoss, BoxLossCfg


class SIoULossCfg(BoxLossCfg["SIoULoss"]):
    theta: Annotated[float, Ge(2)] = 4.0
    """How much small differences of the sides are played down; up to 6 in the paper."""


class SIoULoss(BoxLoss[SIoULossCfg]):
    r"""SIoU loss, :math:`1 - I/U + (\Delta + \Omega) / 2`; mean over pairs of boxes.

    With the difference of the centres :math:`(d_x, d_y)` and the sides of the enclosing box :math:`(w_c, h_c)`: angle
    :math:`\Lambda = 2 |d_x d_y| / (d_x^2 + d_y^2)`, which is :math:`\sin 2 \alpha`; distance :math:`\Delta = \sum_{x,
    y} 1 - e^{-(2 - \Lambda) d_x^2 / w_c^2}`; shape :math:`\Omega = \sum_{w, h} (1 - e^{-|w - w_t| / \max(w,
    w_t)})^\theta`. Shapes: pred and target (N, 4); mask and weight_map (N,). Raises ShapeError.

    >>> import torch
    >>> SIoULoss()(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 2.0]]))
    tensor(0.7512)

    Source: Gevorgyan 2022, arXiv:2205.12740.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        s = box_spans(pred, target)
        shift = length(s.shift.abs())
        angle = ratio(2 * area(shift), shift.square().sum(-1))
        gone = ratio(shift, s.around).square() * (2 - angle).unsqueeze(-1)
        unlike = ratio((s.side_a - s.side_b).abs(), torch.maximum(s.side_a, s.side_b))
        shape = (-torch.expm1(-unlike)) ** self.cfg.theta
        return 1 - s.iou + (shape - torch.expm1(-gone)).sum(-1) / 2
