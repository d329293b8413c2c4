"""MPDIoU loss: IoU and the distances of the corners."""

from __future__ import annotations

from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.functional.boxes import box_spans
from dltools.losses.box import BoxLoss, BoxLossCfg


class MPDIoULossCfg(BoxLossCfg["MPDIoULoss"]):
    image_size: tuple[Positive, Positive]
    """Height and width of the image, in the units of the boxes; (1, 1) for boxes in shares of it."""


class MPDIoULoss(BoxLoss[MPDIoULossCfg]):
    r"""One minus IoU less distances of corners, :math:`1 - I/U + (d_1^2 + d_2^2) / (w^2 + h^2)`; mean over pairs.

    :math:`d_1, d_2` are the distances of the first and of the second corners, :math:`w, h` the sides of the image.
    Shapes: pred and target (N, 4); mask and weight_map (N,). Raises ShapeError.

    >>> import torch
    >>> loss = MPDIoULoss(image_size=(3.0, 4.0))
    >>> loss(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    tensor(0.5400)

    Source: Ma and Xu 2023, arXiv:2307.07662.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        s, (height, width) = box_spans(pred, target), self.cfg.image_size
        return 1 - s.iou + s.apart.square().sum(-1) / (height**2 + width**2)
