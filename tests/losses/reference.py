"""Losses written out as loops over single numbers, in float64 and by their definitions alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Element(NamedTuple):
    """What a loss sees at a time: a pixel, or for multilabel and binary tasks a pixel of one channel."""

    at: tuple[int, ...]
    """Sample, then channel if it has one, then pixel."""
    channel: int | None
    p: list[float]
    """Probability of each class; of absence and presence for an element of a channel."""
    y: list[float]
    """Share of each of them in the target."""
    weight: float
    hard: bool


def elements(
    pred: Tensor,
    target: Tensor,
    *,
    task: str = "multiclass",
    holds: str = "logits",
    ignore_index: int | None = None,
    mask: Tensor | None = None,
    weight_map: Tensor | None = None,
) -> list[Element]:
    """What counts, one by one; ``target``, ``mask`` and ``weight_map`` have a channel just if ``pred`` has many."""
    logits, labels = pred.detach().double().numpy(), target.detach().double().numpy()
    hard, found = not target.is_floating_point(), []
    if task == "binary" and labels.ndim < logits.ndim:
        labels = labels[:, None]
    per_pixel = task == "multiclass"
    positions = itertools.product(*map(range, logits.shape[:1] + logits.shape[2:] if per_pixel else logits.shape))
    for at in positions:
        n, *rest = at
        x = logits[(n, slice(None), *rest)] if per_pixel else logits[at]
        y = labels[at] if hard or not per_pixel else labels[(n, slice(None), *rest)]
        weight = 1.0
        for factor in (mask, weight_map):
            if factor is not None:
                weight *= float(factor[at] if factor.ndim == len(at) else factor[(n, *at[2:])])
        num = len(x) if per_pixel else 2
        legal = np.isin(y, range(num)).all() if hard else ((y >= 0) & (y <= 1)).all()
        ignored = ignore_index is not None and bool(np.all(y == ignore_index))
        if weight == 0 or ignored or not legal:
            continue
        shares = [float(y == c) for c in range(num)] if hard else list(y) if per_pixel else [1 - y, y]
        found.append(Element(at, None if per_pixel else at[1], _probs(x, per_pixel, holds), shares, weight, hard))
    return found


def _probs(x: Any, per_pixel: bool, holds: str) -> list[float]:
    if holds == "logits" and per_pixel:
        top = max(x)
        total = math.fsum(math.exp(v - top) for v in x)
        return [math.exp(v - top) / total for v in x]
    if holds == "logits":
        return [1 / (1 + math.exp(x)), 1 / (1 + math.exp(-x))]
    if holds == "log_probs":
        x = np.exp(x)
    return list(x) if per_pixel else [1 - x, x]


Shape = Callable[[float, int], float]


def pixel_loss(
    seen: list[Element],
    shape: Shape,
    *,
    class_weights: Sequence[float] | None = None,
    smoothing: float = 0.0,
    reduction: str = "mean",
    normalizer: str = "valid",
) -> Any:
    """Sum over elements of weight x sum over sides of share x shape(p, side), by the sum of weights."""
    top: dict[tuple[int, ...], float] = {}
    bottom = []
    for one in seen:
        num = len(one.p)
        weights = [1.0] * num if class_weights is None else list(class_weights)
        if one.channel is not None:
            weights = [weights[one.channel] if class_weights is not None else 1.0] * 2
        shares = [(1 - smoothing) * y + smoothing / num for y in one.y]
        loss = [w * y * shape(p, side) for side, (w, y, p) in enumerate(zip(weights, shares, one.p, strict=True)) if y]
        top[one.at] = one.weight * math.fsum(loss)
        share = math.fsum(w * y for w, y in zip(weights, one.y, strict=True))
        bottom.append(one.weight * share * (one.y[1] if normalizer == "positives" else 1.0))
    if reduction == "none":
        return top
    below = max(1.0, math.fsum(bottom)) if normalizer == "positives" else math.fsum(bottom)
    return math.fsum(top.values()) / below if reduction == "mean" and seen else math.fsum(top.values())


def cross_entropy(p: float, side: int) -> float:
    return -math.log(p)


def focal(gamma: float, alpha: float | None = None) -> Shape:
    def shape(p: float, side: int) -> float:
        return (1.0 if alpha is None else (1 - alpha, alpha)[side]) * (1 - p) ** gamma * -math.log(p)

    return shape


Score = Callable[[float, float, float], float]


def dice(inter: float, pred: float, target: float) -> float:
    return 2 * inter / (pred + target)


def tversky(alpha: float, beta: float) -> Score:
    return lambda inter, pred, target: inter / (inter + alpha * (pred - inter) + beta * (target - inter))


def overlap_loss(
    seen: list[Element],
    score: Score,
    shape: tuple[int, ...],
    *,
    class_weights: Sequence[float] | None = None,
    classes: Sequence[int] | None = None,
    over: str = "batch",
    empty: str = "skip",
    reduction: str = "mean",
) -> Any:
    """Mean over classes, or samples and classes, of one minus the score of the sums; ``shape`` is that of pred."""
    num_samples, num_classes = shape[:2]
    groups = [range(num_samples)] if over == "batch" else [[n] for n in range(num_samples)]
    losses, weights = np.zeros((len(groups), num_classes)), np.zeros((len(groups), num_classes))
    for row, samples in enumerate(groups):
        for c in range(num_classes):
            mine = [one for one in seen if one.at[0] in samples and one.channel in (None, c)]
            side = c if mine and mine[0].channel is None else 1
            inter = math.fsum(one.weight * one.p[side] * one.y[side] for one in mine)
            pred = math.fsum(one.weight * one.p[side] for one in mine)
            target = math.fsum(one.weight * one.y[side] for one in mine)
            total = math.fsum(one.weight for one in mine)
            counts = bool(mine) and (target > 0 or empty != "skip") and (classes is None or c in classes)
            weights[row, c] = counts * (1.0 if class_weights is None else class_weights[c])
            if counts:
                absent = pred / total if empty == "score" else 0.0
                losses[row, c] = 1 - score(inter, pred, target) if target > 0 else absent
    if reduction == "none":
        return (losses * weights)[0] if over == "batch" else losses * weights
    total = float((losses * weights).sum())
    return total / float(weights.sum()) if reduction == "mean" and weights.sum() else total


def batch(
    seed: int, *shape: int, task: str = "multiclass", soft: bool = False, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Logits of a shape, and a target for them."""
    generator = torch.Generator().manual_seed(seed)
    pred = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    if soft:
        target = torch.rand(shape, generator=generator, dtype=torch.float64)
        target = target / target.sum(1, keepdim=True) if task == "multiclass" else target
        return pred.to(dtype), target.to(dtype)
    if task == "multiclass":
        return pred.to(dtype), torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    return pred.to(dtype), torch.randint(0, 2, shape, generator=generator)
