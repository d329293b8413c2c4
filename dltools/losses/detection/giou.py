"""GIoU loss: boxes that do not meet are drawn together."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.boxes import box_giou
from dltools.losses.box import BoxLoss, BoxLossCfg


class GIoULossCfg(BoxLossCfg["GIoULoss"]):
    """No options of its own."""


class GIoULoss(BoxLoss[GIoULossCfg]):
    r"""One minus generalized IoU, :math:`1 - I/U + (C - U)/C`, 0 to 2; mean over pairs of boxes.

    :math:`C` is the area of the box that encloses both. Shapes: pred and target (N, 4); mask and weight_map (N,).
    Raises ShapeError.

    >>> import torch
    >>> GIoULoss()(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    tensor(1.3333)

    Source: Rezatofighi et al. 2019, arXiv:1902.09630.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        return 1 - box_giou(pred, target)
