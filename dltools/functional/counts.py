"""Overlap per class: the sums that region losses and metrics are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dltools.errors import ShapeError
from dltools.functional.sums import add_up, per_class
from dltools.functional.targets import Labels, Task, arrange, describe, read_labels

Over = Literal["batch", "sample"]


class OverlapCounts(NamedTuple):
    """Sums over the elements that count, in float64: (C,), or (N, C) per sample."""

    inter: Tensor
    """Prediction times target."""
    pred: Tensor
    target: Tensor
    pred_sq: Tensor
    target_sq: Tensor
    total: Tensor
    """Number of elements, or the sum of their weights."""

    @property
    def tp(self) -> Tensor:
        """True positives, soft ones for probabilities."""
        return self.inter

    @property
    def fp(self) -> Tensor:
        """False positives: predicted beside the target."""
        return self.pred - self.inter

    @property
    def fn(self) -> Tensor:
        """False negatives: missed parts of the target."""
        return self.target - self.inter

    @property
    def tn(self) -> Tensor:
        """True negatives."""
        return self.total - self.pred - self.target + self.inter

    def over(self, over: Over) -> OverlapCounts:
        """Counts per sample as they are, or added up over the batch."""
        return self if over == "sample" else self.each(lambda x: x.sum(0))

    def each(self, change: Callable[[Tensor], Tensor]) -> OverlapCounts:
        """All sums changed alike; a hard target is its own square, and stays one tensor."""
        target = change(self.target)
        target_sq = target if self.target_sq is self.target else change(self.target_sq)
        return OverlapCounts(
            change(self.inter), change(self.pred), target, change(self.pred_sq), target_sq, change(self.total)
        )


def hard_counts(
    pred: Tensor,
    target: Tensor,
    *,
    num_classes: int,
    task: Task = "multiclass",
    ignore_index: int | None = None,
    mask: Tensor | None = None,
    weight_map: Tensor | None = None,
    over: Over = "batch",
) -> OverlapCounts:
    """Overlap of two label maps: class indices (N, *S), or 0/1 for multilabel and binary tasks.

    A prediction out of range hits nothing; a label out of range excludes its element.

    >>> counts = hard_counts(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 1]]), num_classes=2)
    >>> counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()
    ([1.0, 2.0], [0.0, 1.0], [1.0, 0.0])
    """
    dtype = torch.float32 if weight_map is None else torch.promote_types(weight_map.dtype, torch.float32)
    read = partial(read_labels, task=task, dtype=dtype, ignore_index=ignore_index, mask=mask, weight_map=weight_map)
    if task == "multiclass":
        _refuse_indices(pred, target)
        labels = read(target, num_classes)
        weight, guess = labels.weight, pred.long()
        known = (guess >= 0) & (guess < num_classes)
        inter = per_class(weight * (guess == labels.y), labels.y, num_classes)
        hits = per_class(weight * known, torch.where(known, guess, 0), num_classes)
    else:
        chosen, target = arrange((pred == 1).float(), target, task)
        labels = read(target, num_classes)
        if num_classes != chosen.shape[1]:
            given = f"{describe(pred, target)}, task {task}, num_classes {num_classes}"
            raise ShapeError(given, expected=f"num_classes={chosen.shape[1]}")
        weight = labels.weight
        inter, hits = add_up(chosen * labels.y * weight), add_up(chosen * weight)
    return counts_of(labels, weight, inter, hits, hits).over(over)


def _refuse_indices(pred: Tensor, target: Tensor) -> None:
    if pred.shape != target.shape or pred.is_floating_point() or target.is_floating_point() or pred.ndim == 0:
        raise ShapeError(
            f"{describe(pred, target)}, task multiclass",
            expected="class indices (N, *S) on both sides",
            hint="pred.argmax(1) if pred holds scores",
        )


def counts_of(labels: Labels, weight: Tensor, inter: Tensor, pred: Tensor, pred_sq: Tensor) -> OverlapCounts:
    """The sums that need the prediction, (N, C), and those of the target alone, each element with its ``weight``."""
    y = labels.y
    if labels.of_classes:
        target = target_sq = per_class(weight, y, inter.shape[1])
        total = target.sum(1, keepdim=True)
    else:
        across = weight.unsqueeze(1) if labels.of_pixels else weight
        target = target_sq = add_up(across * y)
        if labels.soft:
            target_sq = add_up(across * y * y)
        total = add_up(across)
    return OverlapCounts(inter, pred, target, pred_sq, target_sq, total.expand_as(inter))
