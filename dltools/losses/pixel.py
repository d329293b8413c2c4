"""Pixel losses: one for each element, most often of the target's log-probability, averaged over valid pixels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from dltools.functional.overlap import OnePass
from dltools.functional.sums import ratio, total
from dltools.functional.targets import Labels
from dltools.losses.buffers import buffer_on
from dltools.losses.dense import DenseCfgT, DenseLoss
from dltools.losses.distutils import Sums
from dltools.losses.view import View

Normalizer: TypeAlias = Literal["valid", "positives"]


class AnyPixelLoss(DenseLoss[DenseCfgT]):
    """What all pixel losses share: a loss for each element, averaged over those that count."""

    normalizer: Normalizer = "valid"
    """What the mean divides by: all elements that count, or the positive ones among them (at least 1)."""

    @abstractmethod
    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        """What counts; the loss of each element, times its class weight; that weight, unless it is 1."""

    def weighted(self, labels: Labels, loss: Tensor, share: Tensor | None) -> tuple[Labels, Tensor, Tensor | None]:
        """What counts; the loss of each element, times its weight; that weight, unless it is 1. 0 where excluded."""
        loss = torch.where(labels.valid, loss, 0)
        loss = loss if labels.weights is None else loss * labels.weights
        if self.normalizer == "positives":
            share = labels.y if share is None else share * labels.y
        return labels, loss, labels.weights if share is None else labels.weight * share

    def share_of(self, labels: Labels) -> Tensor | None:
        """The class weight of each element, if there are any: of a soft pixel, that of its classes by their shares."""
        if self.class_weights is None:
            return None
        y, classes = labels.y, buffer_on(self, "class_weights", labels.valid.device).to(labels.dtype)
        if not labels.of_pixels:
            return along_channels(classes, y)
        return (y * along_channels(classes, y)).sum(1) if labels.soft else classes[y]

    def sums(self, view: View) -> Sums:
        labels, loss, weight = self.weighted(*self.elements(view))
        if self.cfg.reduction == "none":
            return {"loss": loss.squeeze(1) if self.cfg.task == "binary" else loss}
        return {"loss": total(loss), "weight": labels.num_valid if weight is None else total(weight)}

    def value(self, sums: Sums) -> Tensor:
        if self.cfg.reduction != "mean":
            return sums["loss"]
        return ratio(sums["loss"], sums["weight"] if self.normalizer == "valid" else sums["weight"].clamp_min(1))


class SideLoss(AnyPixelLoss[DenseCfgT]):
    """A loss of the log-probability of the target, or of both sides of an element; ``setup`` may set ``smoothing``."""

    smoothing: float = 0.0
    """Share of the target that goes evenly to all classes; for a loss that is linear in ``log_p``."""

    pixel: Callable[..., Tensor]
    """Loss by what ``seen`` gives of a side."""

    @abstractmethod
    def seen(self, log_p: Tensor, positive: Tensor) -> tuple[Tensor, ...]:
        """The target's log-probability; and whether the target is the class or its absence, if that matters."""

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self.look(view)
        labels, y, true = passed.labels, passed.labels.y, passed.labels.valid
        share = self.share_of(labels)
        if passed.log_q is not None:
            loss = y * self.pixel(*self.seen(passed.log_p, true))
            loss = loss + (1 - y) * self.pixel(*self.seen(passed.log_q, ~true))
        elif labels.soft:
            parts, classes = self.pixel(*self.seen(passed.log_p, true.unsqueeze(1))), self.weights_like(y)
            loss = ((y if classes is None else y * along_channels(classes, y)) * parts).sum(1)
        else:
            loss = self.pixel(*self.seen(passed.log_p, true if labels.of_pixels else y))
        if share is not None and not (labels.soft and labels.of_pixels):
            loss = loss * share
        return labels, torch.lerp(loss, self._even(passed, share), self.smoothing) if self.smoothing else loss, share

    def _even(self, passed: OnePass, share: Tensor | None) -> Tensor:
        """The loss of a target that goes evenly to all classes, or to both sides of an element."""
        true = passed.labels.valid
        if passed.labels.of_pixels:
            return self.pixel(*self.seen(passed.class_mean(self.weights_like(passed.log_p)), true))
        here = passed.labels.y if passed.log_q is None else true
        other = 2 * passed.mean_log_p - passed.log_p
        even = (self.pixel(*self.seen(passed.log_p, here)) + self.pixel(*self.seen(other, ~here))) / 2
        return even if share is None else even * share


class PixelLoss(SideLoss[DenseCfgT]):
    """A loss made of the log-probability of the target alone, mean over valid pixels.

    For soft targets ``sum_c y_c pixel(log p_c)``; for multilabel and binary tasks both sides of each element.
    """

    @abstractmethod
    def pixel(self, log_p: Tensor) -> Tensor:
        """Loss of each pixel, in the shape of ``log_p``."""

    def seen(self, log_p: Tensor, positive: Tensor) -> tuple[Tensor]:
        del positive
        return (log_p,)


class SidedPixelLoss(SideLoss[DenseCfgT]):
    """A pixel loss that treats positives and negatives of multilabel and binary tasks differently."""

    @abstractmethod
    def pixel(self, log_p: Tensor, positive: Tensor) -> Tensor:
        """Loss of each element, in the shape of ``log_p``; ``positive``, a bool, broadcasts to it."""

    def seen(self, log_p: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
        return log_p, positive


def along_channels(weights: Tensor, like: Tensor) -> Tensor:
    """(C,) in a shape that broadcasts to (N, C, *S)."""
    return weights.view(1, -1, *[1] * (like.ndim - 2))
