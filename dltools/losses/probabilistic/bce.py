"""Binary cross entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative, Unit
from dltools.errors import ConfigError, ShapeError
from dltools.functional.targets import Task
from dltools.losses.buffers import buffer_on
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import SidedPixelLoss, along_channels


class BCELossCfg(DenseLossCfg["BCELoss"]):
    task: Task = "binary"
    """One class, or several that do not exclude each other."""
    pos_weight: NonNegative | tuple[NonNegative, ...] = 1.0
    """How much a positive counts, for all classes or for each; no part of the normaliser."""
    label_smoothing: Unit = 0.0
    """Share of the target that goes evenly to presence and absence."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multiclass":
            raise ConfigError("task='multiclass'", expected="'binary' or 'multilabel'", hint="CELoss for classes")


class BCELoss(SidedPixelLoss[BCELossCfg]):
    r"""Binary cross entropy, :math:`-w\,y \log p - (1 - y) \log(1 - p)`, mean over valid elements.

    Equals ``torch.nn.functional.binary_cross_entropy_with_logits``, whose ``pos_weight`` is :math:`w`.

    Shapes: pred (N, 1, *S) or (N, *S), for a multilabel task (N, C, *S); target the same, of integers 0 and 1 or of
    shares. Raises ShapeError.

    >>> import torch
    >>> loss = BCELoss(pos_weight=3.0)
    >>> loss(torch.zeros(4), torch.tensor([0, 0, 0, 1]))
    tensor(1.0397)
    """

    pos_weight: Tensor

    def setup(self) -> None:
        self.smoothing: float = self.cfg.label_smoothing
        self.register_buffer("pos_weight", torch.tensor(self.cfg.pos_weight, dtype=torch.float64), persistent=False)

    def pixel(self, log_p: Tensor, positive: Tensor) -> Tensor:
        if self.cfg.pos_weight == 1:
            return -log_p
        weight = buffer_on(self, "pos_weight", log_p.device).to(log_p.dtype)
        if weight.ndim:
            if len(weight) != log_p.shape[1]:
                given = f"{len(weight)} pos_weight for pred {tuple(log_p.shape)}"
                raise ShapeError(given, expected=f"{log_p.shape[1]} of them, one for each class, or a number for all")
            weight = along_channels(weight, log_p)
        return torch.where(positive, -weight * log_p, -log_p)


BCE = BCELoss
BCECfg = BCELossCfg
