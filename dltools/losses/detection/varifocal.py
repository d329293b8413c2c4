"""Varifocal loss: good boxes count more, easy background counts less."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.errors import ConfigError
from dltools.functional.targets import Labels, Task
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import AnyPixelLoss, Normalizer
from dltools.losses.view import View


class VarifocalLossCfg(DenseLossCfg["VarifocalLoss"]):
    task: Task = "multilabel"
    """Scores of several classes, or of one."""
    alpha: NonNegative = 0.75
    """Weight of targets of 0."""
    gamma: Annotated[float, Ge(1)] = 2.0
    """How much easy ones among them are played down."""
    normalizer: Normalizer = "valid"
    """What the mean divides by; detectors take the number of targets above 0, at least 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multiclass":
            raise ConfigError("task='multiclass'", expected="'multilabel' or 'binary'", hint="a score for each class")


class VarifocalLoss(AnyPixelLoss[VarifocalLossCfg]):
    r"""Varifocal loss, :math:`-y (y \log p + (1-y) \log(1-p))` for y > 0, else :math:`-\alpha p^\gamma \log(1-p)`.

    The target :math:`y` is the IoU of a box in the channel of its class, and 0 elsewhere. Mean over valid elements.
    Shapes: pred and target (N, C, *S), also (N, C); mask and weight_map (N, *S), or as pred. Raises ShapeError.

    >>> import torch
    >>> VarifocalLoss()(torch.zeros(1, 2), torch.tensor([[0.8, 0.0]]))
    tensor(0.3422)

    Source: Zhang et al. 2020, arXiv:2008.13367.
    """

    def setup(self) -> None:
        self.normalizer: Normalizer = self.cfg.normalizer

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self.look(view)
        labels, log_p, log_q, share = passed.labels, passed.log_p, passed.log_q, self.share_of(passed.labels)
        positive = labels.y > 0
        if log_q is None:  # no target but 0 and 1
            loss = torch.where(positive, -log_p, self._background(-torch.expm1(log_p), log_p))
        else:
            found = -labels.y * (labels.y * log_p + (1 - labels.y) * log_q)
            loss = torch.where(positive, found, self._background(passed.prob, log_q))
        return labels._replace(y=positive), loss if share is None else loss * share, share

    def _background(self, p: Tensor, log_q: Tensor) -> Tensor:
        return -self.cfg.alpha * p**self.cfg.gamma * log_q
