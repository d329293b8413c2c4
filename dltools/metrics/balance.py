"""What a data set holds: which samples were seen, and how often each class is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.errors import ShapeError
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.classification.reading import left_out
from dltools.metrics.invalid import invalid, note
from dltools.states import State, States, Sum


class SeenCfg(MetricCfg["Seen"]):
    size: PositiveInt
    """Samples of the data set."""


class Seen(Metric[SeenCfg]):
    """Which samples of a data set were seen: ``update(index=...)`` with their numbers, integers (N,).

    Gives ``num_seen`` (different ones), ``num_duplicates`` and ``num_missing``.

    >>> seen = Seen(size=5)
    >>> seen.update(index=torch.tensor([0, 1, 1, 4]))
    >>> seen.compute()
    Report(seen/num_seen=3, seen/num_duplicates=1, seen/num_missing=2)
    """

    def layout(self) -> Mapping[str, State]:
        """How often each was seen, and numbers out of range."""
        return {"times": Sum(self.cfg.size), **invalid()}

    def check(self, index: Tensor) -> None:
        if index.ndim != 1 or index.is_floating_point():
            raise ShapeError(f"index {tuple(index.shape)} {index.dtype}", expected="integers (N,)")

    def count(self, s: States, index: Tensor, *, valid: Tensor) -> None:
        index = index.long()
        legal = (index >= 0) & (index < self.cfg.size)
        s["times"].index_add_(0, index.clamp(0, self.cfg.size - 1), (legal & valid).long())
        note(s, ~legal & valid, index)

    def value(self, s: States) -> Mapping[str, Reading]:
        times = s["times"].numpy()
        n, num_seen = int(times.sum()), int((times > 0).sum())
        found = {"num_seen": num_seen, "num_duplicates": n - num_seen, "num_missing": self.cfg.size - num_seen}
        higher = {"num_seen": True, "num_duplicates": False, "num_missing": False}
        invalid = int(s["invalid"])
        return {k: Reading(x, n=n, higher=higher[k], invalid=invalid) for k, x in found.items()}

    def legal(self) -> str:
        return f"Legal numbers are 0 to {self.cfg.size - 1}."


class ClassStatsCfg(MetricCfg["ClassStats"]):
    num_classes: PositiveInt
    by: Literal["sample", "pixel", "box"] = "sample"
    """Target: a class per sample (N,), or 0/1 per class (N, C); one per pixel (N, *S); labels of boxes per image."""
    ignore_index: int | tuple[int, ...] | None = None
    """Labels that are left out."""


class ClassStats(Metric[ClassStatsCfg]):
    """How often each class is there: ``update(target=...)``; the value is the most over the least of those present.

    ``report.data(name)`` has ``counts`` (samples, pixels or boxes of each class), ``images_with`` (images that have it)
    and ``cooccurrence``, (C, C): images with both.

    >>> stats = ClassStats(num_classes=3, by="pixel")
    >>> stats.update(target=torch.tensor([[0, 0, 0, 1], [0, 0, 0, 0]]))
    >>> report = stats.compute()
    >>> report["class_stats"], report.data("class_stats")["images_with"].tolist()
    (7.0, [2, 1, 0])
    """

    def layout(self) -> Mapping[str, State]:
        """Counts, images with two classes (the diagonal: with one), images, and labels out of range."""
        num = self.cfg.num_classes
        return {"counts": Sum(num), "pairs": Sum(num, num), "images": Sum(), **invalid()}

    def check(self, target: Any) -> None:
        if self.cfg.by == "box":
            if isinstance(target, Tensor) or not all(isinstance(labels_of(one), Tensor) for one in target):
                raise ShapeError(
                    f"target is a {type(target).__name__}", expected="a list of label tensors, one per image"
                )
            return
        if not isinstance(target, Tensor):
            raise ShapeError(f"target is a {type(target).__name__}", expected="a tensor", hint="by='box' takes lists")
        many = self.cfg.by == "sample" and target.ndim == 2
        if target.ndim != 1 and self.cfg.by == "sample" and not (many and target.shape[1] == self.cfg.num_classes):
            raise ShapeError(
                f"target {tuple(target.shape)}, num_classes {self.cfg.num_classes}",
                expected="(N,) or (N, C)",
                hint="by='pixel'",
            )
        if target.is_floating_point() and not many:
            raise ShapeError(f"target has dtype {target.dtype}", expected="class indices", hint="target.long()")

    def count(self, s: States, target: Any, *, valid: Tensor) -> None:
        num, n = self.cfg.num_classes, len(target)
        if isinstance(target, Tensor) and self.cfg.by == "sample" and target.ndim == 2:
            counts = self.kept(target, valid.unsqueeze(1))
            label, found = target, ((target == 1) & counts).long()
            bad = (target != 1) & (target != 0) & counts
        else:
            label, image = flat(target, valid)
            counts, legal = self.kept(label, valid[image]), (label >= 0) & (label < num)
            key, bad = image * num + label.clamp(0, num - 1), counts & ~legal
            found = (
                torch.zeros(n * num, dtype=torch.int64, device=key.device)
                .index_add_(0, key, (counts & legal).long())
                .view(n, num)
            )
        there = (found > 0).double()
        s["counts"] += found.sum(0)
        s["pairs"] += (there.T @ there).long()
        s["images"] += valid.sum()
        note(s, bad, label)

    def kept(self, label: Tensor, counts: Tensor) -> Tensor:
        """Which of those labels are not left out."""
        for one in left_out(self.cfg.ignore_index):
            counts = counts & (label != one)
        return counts

    def value(self, s: States) -> Mapping[str, Reading]:
        counts, pairs = s["counts"].numpy(), s["pairs"].numpy()
        present = counts[counts > 0]
        value = float(present.max() / present.min()) if len(present) else np.nan
        data = {"counts": counts, "images_with": pairs.diagonal(), "cooccurrence": pairs}
        invalid, n = int(s["invalid"]), int(s["images"]) if len(present) else 0
        by_class = {str(c): float(x) for c, x in enumerate(counts)}
        return {
            "": Reading(value, n=n, invalid=invalid, data=data, per_class=by_class),
            "imbalance": Reading(value, n=n, invalid=invalid),
        }

    def legal(self) -> str:
        return f"Legal labels are 0 to {self.cfg.num_classes - 1}; ignore_index leaves others out."


def labels_of(one: Any) -> Any:
    """The labels of an image: a tensor, or under ``labels`` in a mapping."""
    return one["labels"] if isinstance(one, Mapping) else one


def flat(target: Tensor | Sequence[Any], valid: Tensor) -> tuple[Tensor, Tensor]:
    """All labels in one row, and the image of each."""
    if isinstance(target, Tensor):
        size = target.numel() // max(1, len(target))
        return target.reshape(-1).long(), torch.arange(len(target), device=target.device).repeat_interleave(size)
    rows = [labels_of(one).reshape(-1).long().to(valid.device) for one in target]
    image = [torch.full_like(row, i) for i, row in enumerate(rows)]
    empty = valid.new_zeros(0, dtype=torch.int64)
    return torch.cat([empty, *rows]), torch.cat([empty, *image])
