"""What losses of classes that exclude each other share."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.errors import ConfigError, ShapeError
from dltools.functional.overlap import OnePass
from dltools.functional.targets import describe
from dltools.losses.base import T_co
from dltools.losses.dense import DenseLossCfg


class ClassLossCfg(DenseLossCfg[T_co]):
    """Scores of classes that exclude each other."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task != "multiclass" or self.holds != "logits":
            given = f"task={self.task!r}, holds={self.holds!r}"
            raise ConfigError(given, expected="task='multiclass', holds='logits': scores of classes")


class CountedLossCfg(ClassLossCfg[T_co]):
    """The same, for classes of which some are rare."""

    class_counts: tuple[Positive, ...]
    """Of each class in the training data."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.class_counts:
            raise ConfigError("class_counts is ()", expected="a number for each class")


def scores(passed: OnePass, target: Tensor) -> Tensor:
    """The prediction in the dtype of the loss, 0 where excluded; a ShapeError for soft targets."""
    labels = passed.labels
    if labels.soft:
        given = describe(passed.pred, target)
        raise ShapeError(given, expected="a target of class indices (N, *S)", hint="target.argmax(1)")
    return torch.where(labels.valid.unsqueeze(1), passed.pred, 0).to(labels.dtype)


def of_classes(values: Tensor, passed: OnePass) -> Tensor:
    """A number for each class, in the dtype of the loss; a ShapeError if there are more or fewer."""
    num_classes = passed.pred.shape[1]
    if len(values) != num_classes:
        given = f"{len(values)} class_counts for pred {tuple(passed.pred.shape)}"
        raise ShapeError(given, expected=f"{num_classes} of them, one for each class")
    return values.to(passed.log_p.dtype)
