"""IoU loss: the share of two boxes that they do not have in common."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.boxes import box_iou
from dltools.losses.box import BoxLoss, BoxLossCfg


class IoULossCfg(BoxLossCfg["IoULoss"]):
    """No options of its own."""


class IoULoss(BoxLoss[IoULossCfg]):
    r"""One minus intersection over union, :math:`1 - I / U`; mean over pairs of boxes.

    Boxes that do not meet have a loss of 1 and no slope. Shapes: pred and target (N, 4); mask and weight_map (N,).
    Raises ShapeError.

    >>> import torch
    >>> IoULoss()(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    tensor(0.5000)

    Source: Yu et al. 2016, arXiv:1608.01471, without its logarithm.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        return 1 - box_iou(pred, target)


MIoULoss = IoULoss
MIoULossCfg = IoULossCfg
MIoU = IoULoss
MIoUCfg = IoULossCfg
