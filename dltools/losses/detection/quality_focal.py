"""Quality focal loss: scores that say how good a box is, not only whether there is one."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from dltools.errors import ConfigError
from dltools.functional.targets import Labels, Task
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import AnyPixelLoss, Normalizer
from dltools.losses.view import View


class QualityFocalLossCfg(DenseLossCfg["QualityFocalLoss"]):
    task: Task = "multilabel"
    """Scores of several classes, or of one."""
    beta: Annotated[float, Ge(1)] = 2.0
    """How much scores near their target are played down."""
    normalizer: Normalizer = "valid"
    """What the mean divides by; detectors take the number of targets above 0, at least 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multiclass":
            raise ConfigError("task='multiclass'", expected="'multilabel' or 'binary'", hint="a score for each class")


class QualityFocalLoss(AnyPixelLoss[QualityFocalLossCfg]):
    r"""Quality focal loss, :math:`-|y - p|^\beta (y \log p + (1 - y) \log(1 - p))`, mean over valid elements.

    The target :math:`y` is the quality of a box, such as its IoU, in the channel of its class, and 0 elsewhere. Shapes:
    pred and target (N, C, *S), also (N, C); mask and weight_map (N, *S), or as pred. Raises ShapeError.

    >>> import torch
    >>> QualityFocalLoss()(torch.zeros(1, 2), torch.tensor([[0.8, 0.0]]))
    tensor(0.1178)

    Source: Li et al. 2020, arXiv:2006.04388.
    """

    def setup(self) -> None:
        self.normalizer: Normalizer = self.cfg.normalizer

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self.look(view)
        labels, log_p, log_q, share = passed.labels, passed.log_p, passed.log_q, self.share_of(passed.labels)
        if log_q is None:  # no target but 0 and 1
            loss = -log_p * (-torch.expm1(log_p)) ** self.cfg.beta
        else:
            entropy = -(labels.y * log_p + (1 - labels.y) * log_q)
            loss = (labels.y - passed.prob).abs() ** self.cfg.beta * entropy
        return labels._replace(y=labels.y > 0), loss if share is None else loss * share, share
