"""CosFace: a margin in the cosine between a sample and its class."""

from __future__ import annotations

from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.losses.metric_learning.class_matrix import ClassMatrixLoss, ClassMatrixLossCfg


class CosFaceLossCfg(ClassMatrixLossCfg["CosFaceLoss"]):
    margin: NonNegative = 0.35
    """What is taken off the cosine."""


class CosFaceLoss(ClassMatrixLoss[CosFaceLossCfg]):
    r"""Cross entropy of :math:`s (\cos \theta_y - m)` for the target's class, :math:`s \cos \theta_c` for others.

    The loss owns the class matrix, ``weight`` (num_classes, dim): give ``loss.parameters()`` to the optimizer.

    Shapes: pred (N, dim), target (N,) of integers below num_classes. Raises ShapeError.

    >>> import torch
    >>> loss = CosFaceLoss(num_classes=2, dim=2, scale=1.0)
    >>> loss.weight.data = torch.eye(2)
    >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).detach()
    tensor(0.4201)

    Source: Wang et al. 2018, arXiv:1801.09414.
    """

    def narrow(self, cos: Tensor) -> Tensor:
        return cos - self.cfg.margin
