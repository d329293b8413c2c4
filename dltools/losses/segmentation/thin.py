"""Losses of thin parts: the F1 score of skeletons or boundaries, each of which may lie in a part of the other side."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from dltools.functional.overlap import OnePass
from dltools.functional.sums import add_up, apart, ratio
from dltools.losses.distutils import Sums
from dltools.losses.field import across, valid_of
from dltools.losses.overlap import ClassLoss, OverlapLossCfg
from dltools.losses.segmentation.masks import soft_masks
from dltools.losses.view import View

ThinCfgT = TypeVar("ThinCfgT", bound=OverlapLossCfg[Any])


class ThinLoss(ClassLoss[ThinCfgT]):
    """One minus the harmonic mean of two shares: how much of either side's thin part lies in the room of the other's.

    A side without a thin part misses nothing. A class that is in the target, but has no thin part there, is left out.
    """

    @abstractmethod
    def thin(self, mask: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Thin part of soft masks (N, C, *S), and the room that the other side's may take; 0 where excluded."""

    def sums(self, view: View) -> Sums:
        passed = self.look(view)
        sums = self._overlap(passed)
        if self.cfg.over == "batch":
            return {name: x.sum(0) for name, x in sums.items()}
        return self._weighted(sums)

    def value(self, sums: Sums) -> Tensor:
        return self.mean(self._weighted(sums) if self.cfg.over == "batch" else sums)

    def _overlap(self, passed: OnePass) -> Sums:
        """What is weighed, (N, C)."""
        valid, counts = valid_of(passed), passed.overlap("sample")
        thin_p, room_p = self.thin(passed.prob, valid)
        thin_y, room_y = self.thin(soft_masks(passed), valid)
        if passed.labels.weights is not None:
            weight = across(passed, passed.labels.weights)
            thin_p, thin_y = thin_p * weight, thin_y * weight
        parts = {"thin_p": thin_p, "hits_p": thin_p * room_y, "thin_y": thin_y, "hits_y": thin_y * room_p}
        of_all = {"pred": counts.pred, "target": counts.target, "total": counts.total}
        return {name: apart(add_up(x)) for name, x in parts.items()} | of_all

    def _weighted(self, sums: Sums) -> Sums:
        precision, recall = (_share(sums[f"hits_{side}"], sums[f"thin_{side}"]) for side in "py")
        none, target = sums["thin_y"] == 0, sums["target"]
        total = sums["total"].masked_fill(none & (target != 0), 0)
        loss = 1 - ratio(2 * precision * recall, precision + recall)
        return self.weighted(loss, none, sums["pred"], target, total)


def worn(erosion: Callable[[Tensor], Tensor], mask: Tensor, valid: Tensor) -> Tensor:
    """Eroded masks, by pixels that count alone; 0 where excluded."""
    return torch.where(valid, erosion(torch.where(valid, mask, 1)), 0)


def _share(hits: Tensor, thin: Tensor) -> Tensor:
    """``hits / thin``, and 1 of nothing."""
    return ratio(hits, thin).masked_fill(thin == 0, 1)
