"""CIoU loss: IoU, the distance of the centres, and the aspect ratio."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.boxes import box_ciou
from dltools.losses.box import BoxLoss, BoxLossCfg


class CIoULossCfg(BoxLossCfg["CIoULoss"]):
    """No options of its own."""


class CIoULoss(BoxLoss[CIoULossCfg]):
    r"""One minus complete IoU, :math:`1 - I/U + \rho^2 / c^2 + \alpha v`; mean over pairs of boxes.

    :math:`v = \frac{4}{\pi^2} (\arctan \frac{w_t}{h_t} - \arctan \frac{w}{h})^2`; its trade-off :math:`\alpha = v / (1
    - I/U + v)` is a constant, as in the paper: slopes are those of the rest. Shapes: pred and target (N, 4); mask and
    weight_map (N,). Raises ShapeError.

    >>> import torch
    >>> CIoULoss()(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 2.0]]))
    tensor(0.7629)

    Source: Zheng et al. 2020, arXiv:1911.08287.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        return 1 - box_ciou(pred, target)
