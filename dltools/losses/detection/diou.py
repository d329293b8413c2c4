"""DIoU loss: IoU and the distance of the centres."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.boxes import box_diou
from dltools.losses.box import BoxLoss, BoxLossCfg


class DIoULossCfg(BoxLossCfg["DIoULoss"]):
    """No options of its own."""


class DIoULoss(BoxLoss[DIoULossCfg]):
    r"""One minus distance IoU, :math:`1 - I/U + \rho^2 / c^2`; mean over pairs of boxes.

    :math:`\rho` is the distance of the centres, :math:`c` the diagonal of the box that encloses both. Shapes: pred and
    target (N, 4); mask and weight_map (N,). Raises ShapeError.

    >>> import torch
    >>> DIoULoss()(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    tensor(1.4000)

    Source: Zheng et al. 2020, arXiv:1911.08287.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        return 1 - box_diou(pred, target)
