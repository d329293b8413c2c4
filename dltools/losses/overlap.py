"""Overlap losses: one minus an index of how much prediction and target overlap, per class."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegativeInt
from dltools.errors import ConfigError, ShapeError
from dltools.functional.counts import Over, OverlapCounts
from dltools.functional.sums import ratio
from dltools.losses.base import T_co
from dltools.losses.dense import DenseLoss, DenseLossCfg
from dltools.losses.distutils import Sums
from dltools.losses.view import View

OverlapCfgT = TypeVar("OverlapCfgT", bound="OverlapLossCfg[Any]")


class OverlapLossCfg(DenseLossCfg[T_co]):
    """What losses of overlap have in common."""

    classes: tuple[NonNegativeInt, ...] | None = None
    """Classes in the mean; all by default."""
    over: Over = "batch"
    """Overlap of the whole batch, or of each sample."""
    empty: Literal["skip", "score", "zero"] = "skip"
    """A class absent from the target: left out, scored by its mean predicted probability, or a loss of 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"classes is {self.classes}", expected="each class once")
        if self.classes == ():
            raise ConfigError("classes is ()", expected="at least one class", hint="None for all")


class OverlapLoss(DenseLoss[OverlapCfgT]):
    """One minus an index per class, 1 at best; mean over classes.

    Subclasses give the index. Classes absent from the target never reach it, so no sum of a target is 0.
    """

    @abstractmethod
    def score(self, counts: OverlapCounts) -> Tensor:
        """The index, in the shape of the counts: (C,) or (N, C)."""

    def importance(self, counts: OverlapCounts, share: Tensor) -> Tensor:
        """What each class weighs in the mean: by default its share, the class weight, 0 where it is left out."""
        return share

    def sums(self, view: View) -> Sums:
        passed = self.look(view)
        num_classes = passed.prob.shape[1]
        if self.cfg.classes is not None and max(self.cfg.classes) >= num_classes:
            raise ShapeError(
                f"classes {self.cfg.classes} for pred {tuple(passed.pred.shape)}, task {self.cfg.task}",
                expected=f"classes below {num_classes}",
            )
        counts = passed.overlap(self.cfg.over)
        if self.cfg.over == "batch":
            return counts._asdict()
        absent = counts.target == 0
        loss, share = self._weighted(counts, absent, self.score(_present(counts, absent)))
        return {"loss": loss} if self.cfg.reduction == "none" else {"loss": loss.sum(), "weight": share.sum()}

    def value(self, sums: Sums) -> Tensor:
        if self.cfg.over == "batch":
            counts = OverlapCounts(**sums)
            absent = counts.target == 0
            loss, share = self._weighted(counts, absent, self.score(_present(counts, absent)))
            if self.cfg.reduction == "none":
                return loss
            sums = {"loss": loss.sum(), "weight": share.sum()}
        return ratio(sums["loss"], sums["weight"]) if self.cfg.reduction == "mean" else sums["loss"]

    def _weighted(self, counts: OverlapCounts, absent: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each class times its weight in the mean, and that weight."""
        loss = 1 - score
        if self.cfg.empty == "score":
            loss = torch.where(absent, ratio(counts.pred, counts.total), loss)
        elif self.cfg.empty == "zero":
            loss = loss.masked_fill(absent, 0)
        left_out = absent if self.cfg.empty == "skip" else counts.total == 0
        weights = self.weights_like(loss)
        if self.cfg.classes is not None:
            chosen = torch.tensor([c in self.cfg.classes for c in range(loss.shape[-1])], device=loss.device)
            weights = chosen.to(loss.dtype) if weights is None else torch.where(chosen, weights, 0)
        kept = left_out.logical_not().to(loss.dtype) if weights is None else torch.where(left_out, 0, weights)
        loss = loss.masked_fill(left_out if weights is None else kept == 0, 0)
        share = self.importance(counts, kept)
        return loss if weights is None and share is kept else loss * share, share


def _present(counts: OverlapCounts, absent: Tensor) -> OverlapCounts:
    """Where a class is absent the index may be 0/0: it sees harmless counts there, and its gradient stays finite."""
    return counts.each(lambda x: x.masked_fill(absent, 1 + (x is counts.total)))
