"""Cosine loss: vectors that should point the same way, however long they are."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from dltools.losses.element import ElementLoss, ElementLossCfg


class CosineLossCfg(ElementLossCfg["CosineLoss"]):
    """No options of its own."""


class CosineLoss(ElementLoss[CosineLossCfg]):
    r"""One minus the cosine of the angle, :math:`1 - \hat y \cdot y / (|\hat y| |y|)` over dimension 1; mean.

    A vector of zeros has the cosine 0. One shorter than 6e-5 counts as if it were that long, so that its gradient is
    finite in half precision.

    Shapes: pred and target (N, C, *S), floats; mask and weight_map (N, *S). Raises ShapeError.

    >>> import torch
    >>> CosineLoss()(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    tensor(0.2929)
    """

    whole: ClassVar[bool] = True

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        cosine = F.normalize(pred, dim=1, eps=_SHORT) * F.normalize(target, dim=1, eps=_SHORT)
        return 1 - cosine.sum(1, keepdim=True)


_SHORT = 2.0**-14  # the least normal number of float16
