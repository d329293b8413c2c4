"""Soft margin loss: the logistic loss of labels that are there or not."""

from __future__ import annotations

from torch import Tensor

from dltools.errors import ConfigError
from dltools.functional.targets import Task
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import PixelLoss


class SoftMarginLossCfg(DenseLossCfg["SoftMarginLoss"]):
    task: Task = "multilabel"
    """Classes that do not exclude each other, or one class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multiclass":
            raise ConfigError("task='multiclass'", expected="'multilabel' or 'binary'", hint="MultiMarginLoss")


class SoftMarginLoss(PixelLoss[SoftMarginLossCfg]):
    r"""Soft margin loss, :math:`\log(1 + e^{-y z})`, mean over valid elements; :math:`y = \pm 1`.

    Targets are 1 and 0, where ``torch.nn.functional.soft_margin_loss`` takes 1 and -1. It is the cross entropy of
    logits :math:`z`; a soft target is a mean of both sides.

    Shapes: pred and target (N, C, *S), integers 0 and 1 or shares. Raises ShapeError.

    >>> import torch
    >>> loss = SoftMarginLoss()
    >>> loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0, 1]]))
    tensor(1.4100)
    """

    def pixel(self, log_p: Tensor) -> Tensor:
        return -log_p
