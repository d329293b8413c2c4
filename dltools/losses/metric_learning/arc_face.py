"""ArcFace: a margin in the angle between a sample and its class."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from dltools.losses.metric_learning.class_matrix import ClassMatrixLoss, ClassMatrixLossCfg


class ArcFaceLossCfg(ClassMatrixLossCfg["ArcFaceLoss"]):
    margin: Annotated[float, Ge(0), Le(math.pi / 2)] = 0.5
    """What is added to the angle, in radians."""


class ArcFaceLoss(ClassMatrixLoss[ArcFaceLossCfg]):
    r"""Cross entropy of :math:`s \cos(\theta_y + m)` for the target's class, :math:`s \cos \theta_c` for others.

    Beyond :math:`\theta = \pi - m`, where the cosine would rise again, it goes on as :math:`\cos \theta - m \sin m`.
    The loss owns the class matrix, ``weight`` (num_classes, dim): give ``loss.parameters()`` to the optimizer.

    Shapes: pred (N, dim), target (N,) of integers below num_classes. Raises ShapeError.

    >>> import torch
    >>> loss = ArcFaceLoss(num_classes=2, dim=2, scale=1.0)
    >>> loss.weight.data = torch.eye(2)
    >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).detach()
    tensor(0.3477)

    Source: Deng et al. 2018, arXiv:1801.07698.
    """

    def narrow(self, cos: Tensor) -> Tensor:
        m = self.cfg.margin
        squared = (1 - cos.square()).clamp_min(0)
        steep = squared < torch.finfo(cos.dtype).eps  # where sample and class point the same way: no slope
        sin = torch.where(steep, squared.detach().sqrt(), squared.masked_fill(steep, 1).sqrt())
        return torch.where(cos > -math.cos(m), cos * math.cos(m) - sin * math.sin(m), cos - m * math.sin(m))
