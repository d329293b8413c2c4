"""Field losses: a value for each pixel of each class, which may depend on all the others, and their mean."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegativeInt
from dltools.errors import ConfigError, ShapeError
from dltools.functional.overlap import OnePass
from dltools.functional.sums import add_up, apart, one_of, ratio
from dltools.losses.base import T_co
from dltools.losses.dense import DenseLoss, DenseLossCfg
from dltools.losses.distutils import Sums
from dltools.losses.pixel import along_channels
from dltools.losses.view import View

FieldCfgT = TypeVar("FieldCfgT", bound="FieldLossCfg[Any]")


class FieldLossCfg(DenseLossCfg[T_co]):
    """What losses of fields have in common."""

    classes: tuple[NonNegativeInt, ...] | None = None
    """Classes in the mean; all by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None and not 0 < len(self.classes) == len(set(self.classes)):
            raise ConfigError(f"classes is {self.classes}", expected="at least one class, each once", hint="None for all")


class FieldLoss(DenseLoss[FieldCfgT]):
    """The weighted mean of a field over the pixels and classes that count.

    ``reduction="none"`` gives the weighted field itself, (N, C, *S), 0 where a pixel or a class does not count.
    """

    @abstractmethod
    def field(self, view: OnePass) -> Tensor:
        """Loss of each pixel of each class, (N, C, *S); finite where excluded."""

    def reading(self, view: View) -> OnePass:
        """How prediction and target are read: by default as all dense losses do."""
        return self.look(view)

    def sums(self, view: View) -> Sums:
        passed = self.reading(view)
        field, weight = self.weighted(passed)
        if self.cfg.reduction == "none":
            return {"loss": field * along_channels(self.share(field.shape[1], field), field)}
        return {"loss": apart(add_up(field)).sum(0), "weight": weight}

    def value(self, sums: Sums) -> Tensor:
        return sums["loss"] if self.cfg.reduction == "none" else self.reduced(sums["loss"], sums["weight"])

    def weighted(self, passed: OnePass) -> tuple[Tensor, Tensor]:
        """The field times the weights of pixels, 0 where excluded; the sum of those weights for each class, (C,)."""
        chosen, num_classes = self.cfg.classes, passed.prob.shape[1]
        if chosen is not None and max(chosen) >= num_classes:
            raise ShapeError(
                f"classes {chosen} for pred {tuple(passed.pred.shape)}, task {self.cfg.task}",
                expected=f"classes below {num_classes}",
            )
        labels = passed.labels
        field = torch.where(across(passed, labels.valid), self.field(passed), 0)
        if labels.weights is not None:
            field = field * across(passed, labels.weights)
        return field, add_up(across(passed, labels.weight)).sum(0).expand(num_classes)

    def reduced(self, loss: Tensor, weight: Tensor) -> Tensor:
        """What sums of losses and weights of each class, (C,), amount to."""
        share = self.share(len(loss), loss)
        loss = torch.where(share == 0, 0, loss * share)
        return ratio(loss.sum(), (weight * share).sum()) if self.cfg.reduction == "mean" else loss.sum()

    def share(self, num_classes: int, like: Tensor) -> Tensor:
        """What each class weighs, (C,): 0 where it is not chosen."""
        weights = self.weights_like(like)
        if weights is None:
            weights = torch.ones(num_classes, dtype=like.dtype, device=like.device)
        if self.cfg.classes is None:
            return weights
        return weights * torch.tensor([c in self.cfg.classes for c in range(num_classes)], device=like.device)


def across(passed: OnePass, x: Tensor) -> Tensor:
    """What each element has, in a shape that broadcasts to (N, C, *S)."""
    return x.unsqueeze(1) if passed.labels.of_pixels else x


def valid_of(passed: OnePass) -> Tensor:
    """What counts, (N, C, *S)."""
    return across(passed, passed.labels.valid).expand_as(passed.prob)


def masks_of(passed: OnePass) -> Tensor:
    """The target of each class, (N, C, *S): bools, or shares; 0 where excluded."""
    y = passed.labels.y
    if y.dtype == torch.int64:
        return one_of(y, passed.prob.shape[1]) & across(passed, passed.labels.valid)
    return y if passed.labels.soft else y & passed.labels.valid
