"""Overlap losses: one minus an index of how much prediction and target overlap, per class."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from dltools.functional.counts import Over, OverlapCounts
from dltools.functional.sums import ratio
from dltools.losses.base import T_co
from dltools.losses.dense import SomeClassesLoss, SomeClassesLossCfg
from dltools.losses.distutils import Sums
from dltools.losses.view import View

OverlapCfgT = TypeVar("OverlapCfgT", bound="OverlapLossCfg[Any]")


class OverlapLossCfg(SomeClassesLossCfg[T_co]):
    """What losses of overlap have in common."""

    over: Over = "batch"
    """Overlap of the whole batch, or of each sample."""
    empty: Literal["skip", "score", "zero"] = "skip"
    """A class absent from the target: left out, scored by its mean predicted probability, or a loss of 0."""


class ClassLoss(SomeClassesLoss[OverlapCfgT]):
    """A loss of each class, and their mean."""

    def importance(self, share: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        """What each class weighs in the mean: by default its share, the class weight, 0 where it is left out."""
        return share

    def weighted(self, loss: Tensor, absent: Tensor, pred: Tensor, target: Tensor, total: Tensor) -> Sums:
        """What adds up to the mean of losses (C,) or (N, C), from the sums of both sides and the number of elements."""
        if self.cfg.empty == "score":
            loss = torch.where(absent, ratio(pred, total), loss)
        elif self.cfg.empty == "zero":
            loss = loss.masked_fill(absent, 0)
        left_out = absent if self.cfg.empty == "skip" else total == 0
        weights = self.weights_like(loss)
        if self.cfg.classes is not None:
            chosen = self.chosen(self.cfg.classes, loss)
            weights = chosen.to(loss.dtype) if weights is None else torch.where(chosen, weights, 0)
        kept = left_out.logical_not().to(loss.dtype) if weights is None else torch.where(left_out, 0, weights)
        loss = loss.masked_fill(left_out if weights is None else kept == 0, 0)
        share = self.importance(kept, pred, target)
        if weights is not None or share is not kept:
            loss = loss * share
        return {"loss": loss} if self.cfg.reduction == "none" else {"loss": loss.sum(), "weight": share.sum()}

    def mean(self, sums: Sums) -> Tensor:
        """The value of weighted losses."""
        return ratio(sums["loss"], sums["weight"]) if self.cfg.reduction == "mean" else sums["loss"]


class OverlapLoss(ClassLoss[OverlapCfgT]):
    """One minus an index per class, 1 at best; mean over classes.

    Subclasses give the index. Classes absent from the target never reach it, so no sum of a target is 0.
    """

    @abstractmethod
    def score(self, counts: OverlapCounts) -> Tensor:
        """The index, in the shape of the counts: (C,) or (N, C)."""

    def sums(self, view: View) -> Sums:
        counts = self.look(view).overlap(self.cfg.over)
        if self.cfg.over == "batch":
            return counts._asdict()
        absent = counts.target == 0
        loss = 1 - self.score(_present(counts, absent))
        return self.weighted(loss, absent, counts.pred, counts.target, counts.total)

    def value(self, sums: Sums) -> Tensor:
        if self.cfg.over == "batch":
            counts = OverlapCounts(**sums)
            absent = counts.target == 0
            loss = 1 - self.score(_present(counts, absent))
            sums = self.weighted(loss, absent, counts.pred, counts.target, counts.total)
        return self.mean(sums)


def _present(counts: OverlapCounts, absent: Tensor) -> OverlapCounts:
    """Where a class is absent the index may be 0/0: it sees harmless counts there, and its gradient stays finite."""
    return counts.each(lambda x: x.masked_fill(absent, 1 + (x is counts.total)))
