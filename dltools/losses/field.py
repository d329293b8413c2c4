"""Field losses: a value for each pixel of each class, which may depend on all the others, and their mean."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from dltools.functional.overlap import OnePass
from dltools.functional.sums import add_up, apart, ratio
from dltools.losses.base import T_co
from dltools.losses.dense import SomeClassesLoss, SomeClassesLossCfg
from dltools.losses.distutils import Sums
from dltools.losses.pixel import along_channels
from dltools.losses.view import View

FieldCfgT = TypeVar("FieldCfgT", bound="FieldLossCfg[Any]")


class FieldLossCfg(SomeClassesLossCfg[T_co]):
    """What losses of fields have in common."""


class ChosenLoss(SomeClassesLoss[FieldCfgT]):
    """A weighted mean over pixels and the chosen classes."""

    def weighted(self, passed: OnePass, field: Tensor) -> tuple[Tensor, Tensor]:
        """A field (N, C, *S) times the weights of pixels, 0 where excluded; the sum of those weights for each class."""
        weights = passed.labels.weights
        field = torch.where(valid_of(passed), field, 0)
        field = field if weights is None else field * across(passed, weights)
        return field, add_up(across(passed, passed.labels.weight)).sum(0).expand(field.shape[1])

    def reduced(self, loss: Tensor, weight: Tensor) -> Tensor:
        """What sums of losses and weights of classes, (C,), amount to; without reduction the mean of each class."""
        share = self.share(len(loss), loss)
        if self.cfg.reduction == "none":
            return ratio(loss, weight) * share
        loss = torch.where(share == 0, 0, loss * share).sum()
        return ratio(loss, (weight * share).sum()) if self.cfg.reduction == "mean" else loss

    def share(self, num_classes: int, like: Tensor) -> Tensor:
        """What each class weighs, (C,): 0 where it is not chosen."""
        weights = self.weights_like(like)
        if weights is None:
            weights = torch.ones(num_classes, dtype=like.dtype, device=like.device)
        if self.cfg.classes is None:
            return weights
        return weights * self.chosen(self.cfg.classes, weights)


class FieldLoss(ChosenLoss[FieldCfgT]):
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
        field, weight = self.weighted(passed, self.field(passed))
        if self.cfg.reduction == "none":
            return {"loss": field * along_channels(self.share(field.shape[1], field), field)}
        return {"loss": apart(add_up(field)).sum(0), "weight": weight}

    def value(self, sums: Sums) -> Tensor:
        return sums["loss"] if self.cfg.reduction == "none" else self.reduced(sums["loss"], sums["weight"])


def across(passed: OnePass, x: Tensor) -> Tensor:
    """What each element has, in a shape that broadcasts to (N, C, *S)."""
    return x.unsqueeze(1) if passed.labels.of_pixels else x


def valid_of(passed: OnePass) -> Tensor:
    """What counts, (N, C, *S)."""
    return across(passed, passed.labels.valid).expand_as(passed.prob)
