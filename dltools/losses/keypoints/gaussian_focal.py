"""Gaussian focal loss: centres of objects, with forgiveness around them."""

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


class GaussianFocalLossCfg(DenseLossCfg["GaussianFocalLoss"]):
    task: Task = "multilabel"
    """Maps of classes or key points, or one map."""
    alpha: Annotated[float, Ge(1)] = 2.0
    """How much what is easy is played down."""
    beta: NonNegative = 4.0
    """How much is forgiven near a centre."""
    normalizer: Normalizer = "positives"
    """What the mean divides by: the number of centres, at least 1, or that of elements."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multiclass":
            raise ConfigError("task='multiclass'", expected="'multilabel' or 'binary'", hint="maps may overlap")


class GaussianFocalLoss(AnyPixelLoss[GaussianFocalLossCfg]):
    r"""Focal loss of heatmaps, :math:`-(1-p)^\alpha \log p` where y is 1, else :math:`-(1-y)^\beta p^\alpha \log(1-p)`.

    Divided by the number of centres, where y is 1, of the batch.

    Shapes: pred and target (N, C, *S); mask and weight_map (N, *S), or (N, C, 1, 1) for visibility. Raises ShapeError.

    >>> import torch
    >>> GaussianFocalLoss()(torch.zeros(1, 1, 3), torch.tensor([[[0.5, 1.0, 0.5]]]))
    tensor(0.1949)

    Source: Law and Deng 2018, arXiv:1808.01244.
    """

    def setup(self) -> None:
        self.normalizer: Normalizer = self.cfg.normalizer

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self.look(view)
        labels, centre, share = passed.labels, passed.labels.y == 1, self.share_of(passed.labels)
        if passed.log_q is None:  # no label but 0 and 1
            loss = self._focal(passed.log_p)
        else:
            around = (1 - labels.y) ** self.cfg.beta * self._focal(passed.log_q)
            loss = torch.where(centre, self._focal(passed.log_p), around)
        return labels._replace(y=centre), loss if share is None else loss * share, share

    def _focal(self, log_p: Tensor) -> Tensor:
        return -log_p * (-torch.expm1(log_p)) ** self.cfg.alpha
