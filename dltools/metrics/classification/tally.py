"""Adding coded elements to integer cells, on the device and without a host read."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.metrics.classification.reading import Form


def tally_pairs(cells: Tensor, truth: Tensor, guess: Tensor) -> None:
    """Add each element to its cell of ``cells`` (channels, sides + 3, sides + 2): the matrix with a frame around it.

    Row and column 0 are for labels below the range, those after the classes for labels above it and for NaN, the last
    row for what is left out.
    """
    channels, rows, width = cells.shape
    key = torch.add(guess, truth, alpha=width).add_(width + 1)
    if channels > 1:
        key = key + torch.arange(channels, dtype=key.dtype, device=key.device)[:, None] * (rows * width)
    _add_ones(cells.view(-1), key)


def tally_margins(truth: Tensor, guess: Tensor, sides: int) -> Tensor:
    """Hits, predictions and targets per class of (N, M): int64 (N, 3, sides + 2).

    After the classes: a cell for what is invalid, and one for what is left out.
    """
    left_out = truth == sides + 1
    good = _is_class(truth, sides) & _is_class(guess, sides)
    target = torch.where(good, truth.int(), sides)
    pred = torch.where(good, guess.int(), sides)
    hits = torch.where(target == pred, target, sides)
    key = torch.stack([hits, pred, torch.where(left_out, sides + 1, target)], 1).long()
    n = truth.shape[0]
    starts = torch.arange(n * 3, device=key.device).view(n, 3, 1) * (sides + 2)
    cells = torch.zeros(n * 3 * (sides + 2), dtype=torch.int64, device=key.device)
    _add_ones(cells, key + starts)
    return cells.view(n, 3, sides + 2)


def tally_exact(truth: Tensor, guess: Tensor) -> Tensor:
    """Elements of (N, labels, M) with all their labels right, and all elements that have legal labels: int64 (2,)."""
    wanted = truth != 3
    legal = (~wanted | (_is_class(truth, 2) & _is_class(guess, 2))).all(1) & wanted.any(1)
    right = legal & (~wanted | (truth == guess)).all(1)
    return torch.stack([right.sum(), legal.sum()])


def tally_images(truth: Tensor, guess: Tensor, form: Form) -> dict[str, Tensor]:
    """Rows of tp, pred, target, total: one for each class of each image, in this order."""
    if form.task == "multiclass":
        tp, pred, target = tally_margins(truth[:, 0], guess[:, 0], form.sides)[..., : form.sides].unbind(1)
        total = target.sum(1, keepdim=True).expand_as(target)
    else:
        good = _is_class(truth, 2) & _is_class(guess, 2)
        true, positive = good & (truth == 1), good & (guess == 1)
        tp, pred, target, total = (x.sum(2) for x in (true & positive, positive, true, good))
    return {"tp": tp.reshape(-1), "pred": pred.reshape(-1), "target": target.reshape(-1), "total": total.reshape(-1)}


def _is_class(x: Tensor, sides: int) -> Tensor:
    return (x >= 0) & (x < sides)


def _add_ones(cells: Tensor, key: Tensor) -> None:
    """Into integers, hence exact in any order; int32 keys halve the traffic."""
    index = key.reshape(-1)
    index = index if index.dtype == torch.int64 else index.int()
    cells.index_add_(0, index, torch.ones(1, dtype=cells.dtype, device=cells.device).expand(index.shape))
