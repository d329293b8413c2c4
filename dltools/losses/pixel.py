"""Pixel losses: a function of the target's log-probability, averaged over valid pixels."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from dltools.functional.overlap import OnePass
from dltools.functional.sums import ratio, total
from dltools.functional.targets import Labels
from dltools.losses.dense import DenseCfgT, DenseLoss
from dltools.losses.distutils import Sums
from dltools.losses.view import View

Normalizer: TypeAlias = Literal["valid", "positives"]


class AnyPixelLoss(DenseLoss[DenseCfgT]):
    """What the two families of pixel losses share; ``setup`` may set the two attributes."""

    smoothing: float = 0.0
    """Share of the target that goes evenly to all classes; for a loss that is linear in ``log_p``."""
    normalizer: Normalizer = "valid"
    """What the mean divides by: all elements that count, or the positive ones among them (at least 1)."""

    @abstractmethod
    def side(self, log_p: Tensor, positive: Tensor) -> Tensor:
        """Loss by the target's log-probability; ``positive``: whether the target is the class or its absence."""

    def sums(self, view: View) -> Sums:
        passed = self.look(view)
        loss, share = self._of_pixels(passed) if passed.labels.of_pixels else self._of_elements(passed)
        loss, weight = self._weighted(passed.labels, loss, share)
        if self.cfg.reduction == "none":
            return {"loss": loss.squeeze(1) if self.cfg.task == "binary" else loss}
        return {"loss": total(loss), "weight": passed.labels.num_valid if weight is None else total(weight)}

    def value(self, sums: Sums) -> Tensor:
        if self.cfg.reduction != "mean":
            return sums["loss"]
        return ratio(sums["loss"], sums["weight"] if self.normalizer == "valid" else sums["weight"].clamp_min(1))

    def _weighted(self, labels: Labels, loss: Tensor, share: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Loss of each element times its weight, and that weight, unless it is 1; 0 where it is excluded."""
        loss = torch.where(labels.valid, loss, 0)
        loss = loss if labels.weights is None else loss * labels.weights
        if self.normalizer == "positives":
            share = labels.y if share is None else share * labels.y
        if share is None:
            return loss, labels.weights
        return loss, labels.weight * share

    def _of_pixels(self, passed: OnePass) -> tuple[Tensor, Tensor | None]:
        """Loss of each pixel, times its class weight, and that weight."""
        y, classes, true = passed.labels.y, self.weights_like(passed.log_p), passed.labels.valid
        loss, share = self.side(passed.log_p, true.unsqueeze(1) if passed.labels.soft else true), None
        if passed.labels.soft:
            parts = y if classes is None else y * _along_channels(classes, y)
            loss, share = (parts * loss).sum(1), None if classes is None else parts.sum(1)
        elif classes is not None:
            share = classes[y]
            loss = loss * share
        if self.smoothing:
            loss = torch.lerp(loss, self.side(passed.class_mean(classes), true), self.smoothing)
        return loss, share

    def _of_elements(self, passed: OnePass) -> tuple[Tensor, Tensor | None]:
        """The same for pixels of channels, each of which is there or not."""
        y, classes, true = passed.labels.y, self.weights_like(passed.log_p), passed.labels.valid
        if passed.log_q is None:
            loss = self.side(passed.log_p, y)
        else:
            loss = y * self.side(passed.log_p, true) + (1 - y) * self.side(passed.log_q, ~true)
        if self.smoothing:
            loss = torch.lerp(loss, self.side(passed.mean_log_p, true), self.smoothing)
        if classes is None:
            return loss, None
        share = _along_channels(classes, y)
        return loss * share, share


class PixelLoss(AnyPixelLoss[DenseCfgT]):
    """A loss made of the log-probability of the target alone, mean over valid pixels.

    For soft targets ``sum_c y_c pixel(log p_c)``; for multilabel and binary tasks both sides of each element.
    """

    @abstractmethod
    def pixel(self, log_p: Tensor) -> Tensor:
        """Loss of each pixel, in the shape of ``log_p``."""

    def side(self, log_p: Tensor, positive: Tensor) -> Tensor:
        del positive
        return self.pixel(log_p)


class SidedPixelLoss(AnyPixelLoss[DenseCfgT]):
    """A pixel loss that treats positives and negatives of multilabel and binary tasks differently."""

    @abstractmethod
    def pixel(self, log_p: Tensor, positive: Tensor) -> Tensor:
        """Loss of each element, in the shape of ``log_p``; ``positive``, a bool, broadcasts to it."""

    def side(self, log_p: Tensor, positive: Tensor) -> Tensor:
        return self.pixel(log_p, positive)


def _along_channels(weights: Tensor, like: Tensor) -> Tensor:
    return weights.view(1, -1, *[1] * (like.ndim - 2))
