"""Losses of a prediction per class and pixel."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegativeInt
from dltools.errors import ConfigError, ShapeError
from dltools.functional.overlap import OnePass
from dltools.functional.targets import Holds, Task
from dltools.losses.base import Loss, LossCfg, T_co
from dltools.losses.buffers import buffer_on
from dltools.losses.view import View

DenseCfgT = TypeVar("DenseCfgT", bound="DenseLossCfg[Any]")
SomeCfgT = TypeVar("SomeCfgT", bound="SomeClassesLossCfg[Any]")


class DenseLossCfg(LossCfg[T_co]):
    """How predictions and targets are read."""

    task: Task = "multiclass"
    """Classes that exclude each other, classes that do not, or one class."""
    holds: Holds = "logits"
    """What ``pred`` is; never guessed."""
    ignore_index: int | None = None
    """A label that does not count; it may be a legal one."""
    class_weights: tuple[float, ...] | None = None
    """One for each class; means are normalised by them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights is not None and (not self.class_weights or min(self.class_weights) < 0):
            raise ConfigError(f"class_weights is {self.class_weights}", expected="a number >= 0 for each class")


class DenseLoss(Loss[DenseCfgT]):
    """A loss of logits or probabilities (N, C, *S) and class indices, or labels of the same shape."""

    class_weights: Tensor | None

    def __init__(self, cfg: DenseCfgT | None = None, /, **fields: Any) -> None:
        super().__init__(cfg, **fields)
        weights = None if self.cfg.class_weights is None else torch.tensor(self.cfg.class_weights, dtype=torch.float64)
        self.register_buffer("class_weights", weights, persistent=False)

    def look(self, view: View) -> OnePass:
        """The pass that this loss shares with its like; refuses class weights that do not fit."""
        passed = view.read(self.cfg)
        weights, num_classes = self.cfg.class_weights, passed.prob.shape[1]
        if weights is not None and len(weights) != num_classes:
            raise ShapeError(
                f"{len(weights)} class_weights for pred {tuple(passed.pred.shape)}, task {self.cfg.task}",
                expected=f"{num_classes} of them, one for each class",
                hint="0 for a class that shall not count",
            )
        return passed

    def weights_like(self, x: Tensor) -> Tensor | None:
        """The class weights on the device and in the dtype of ``x``."""
        if self.class_weights is None:
            return None
        return buffer_on(self, "class_weights", x.device).to(x.dtype)


class SomeClassesLossCfg(DenseLossCfg[T_co]):
    """Which classes are in the mean."""

    classes: tuple[NonNegativeInt, ...] | None = None
    """Classes in the mean; all by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None and not 0 < len(self.classes) == len(set(self.classes)):
            raise ConfigError(f"classes is {self.classes}", expected="a class or more, each once", hint="None for all")


class SomeClassesLoss(DenseLoss[SomeCfgT]):
    """A mean over classes, which may be some of them."""

    which: Tensor | None

    def __init__(self, cfg: SomeCfgT | None = None, /, **fields: Any) -> None:
        super().__init__(cfg, **fields)
        self.register_buffer("which", None, persistent=False)

    def look(self, view: View) -> OnePass:
        """The pass; refuses ``classes`` that do not fit, too."""
        passed = super().look(view)
        if self.cfg.classes is not None and max(self.cfg.classes) >= passed.prob.shape[1]:
            raise ShapeError(
                f"classes {self.cfg.classes} for pred {tuple(passed.pred.shape)}, task {self.cfg.task}",
                expected=f"classes below {passed.prob.shape[1]}",
            )
        return passed

    def chosen(self, classes: tuple[int, ...], x: Tensor) -> Tensor:
        """Which of the classes of ``x``, (..., C), are meant: (C,)."""
        which, size = self.which, x.shape[-1]
        if which is None or (len(which), which.device) != (size, x.device):
            which = torch.tensor([c in classes for c in range(size)], device=x.device)
            if not (torch.compiler.is_compiling() or torch.is_inference_mode_enabled()):
                self.which = which
        return which
