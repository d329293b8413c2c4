"""A last linear layer and its cross entropy together: scores of a large vocabulary never exist all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.errors import ConfigError, ShapeError
from dltools.functional.targets import describe

Reduction = Literal["mean", "sum", "none"]

_CHUNK = 1 << 23
"""Scores that exist at a time."""


def linear_cross_entropy(
    x: Tensor,
    weight: Tensor,
    target: Tensor,
    *,
    bias: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    chunk: int | None = None,
) -> Tensor:
    r"""Cross entropy of :math:`x W^T + b`: ``F.cross_entropy(F.linear(x, weight, bias), target)`` in little memory.

    Rows are taken in chunks. Their gradients are made in the forward, as soon as their scores exist, and the backward
    scales them (for ``reduction="none"`` it computes the scores again). Scores are float32 or better.

    Args:
        x: (\*, D), float; weight: (V, D) and bias: (V,) in the same dtype.
        target: (\*) of integers. Rows with ``ignore_index``, or a label out of range, do not count, whatever they hold.
        label_smoothing: share of the target that goes evenly to all V.
        chunk: rows at a time; by default as many as have 8 million scores.

    Returns the loss, float32 for half precision; 0 if no row counts. Raises a ShapeError for what does not fit.

    >>> linear_cross_entropy(torch.zeros(6, 4), torch.zeros(19, 4), torch.arange(6))
    tensor(2.9444)
    """
    if bad := _misfit(x, weight, target, bias):
        raise ShapeError(
            f"x {tuple(x.shape)} {x.dtype}, weight {tuple(weight.shape)} {weight.dtype}; {describe(x, target)}",
            expected="x (*, D), weight (V, D), bias (V,) of one dtype; target (*) of integers",
            hint=bad,
        )
    if chunk is not None and chunk < 1:
        raise ConfigError(f"chunk is {chunk}", expected="a number of rows, at least 1")
    if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    apply = cast(Callable[..., Tensor], _LinearCE.apply)
    how = _How(ignore_index, label_smoothing, reduction, chunk or max(1, _CHUNK // max(1, len(weight))))
    loss = apply(x.reshape(-1, x.shape[-1]), weight, bias, target.reshape(-1).long(), how, torch.is_grad_enabled())
    return loss.view(target.shape) if reduction == "none" else loss


class _How(NamedTuple):
    ignore_index: int
    smoothing: float
    reduction: Reduction
    chunk: int


class _Slopes(NamedTuple):
    """Of a weighted sum of row losses."""

    x: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


class _LinearCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, how: _How, wanted: bool
    ) -> Tensor:
        valid = (target >= 0) & (target < len(weight)) & (target != how.ignore_index)
        share = valid.to(torch.promote_types(x.dtype, torch.float32))
        if how.reduction == "mean":
            share /= valid.count_nonzero().clamp_min(1)
        ctx.how, ctx.needs = how, ctx.needs_input_grad[:3]
        at_once = wanted and how.reduction != "none"
        loss, slopes = _walk(x, weight, bias, target, share, how, ctx.needs if at_once else (False,) * 3)
        ctx.save_for_backward(x, weight, bias, target, share, *slopes)
        loss = loss * share
        return loss if how.reduction == "none" else loss.sum(dtype=torch.float64).to(loss.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        slope, (x, weight, bias, target, share, *made) = slopes[0], ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated once more: by plain operations, all scores at once
            given = [part for part, need in zip((x, weight, bias), ctx.needs, strict=True) if need]
            scores = F.linear(torch.where(share.unsqueeze(1) > 0, x, 0), weight, bias).to(share.dtype)
            inside = target.clamp(0, len(weight) - 1)
            loss = F.cross_entropy(scores, inside, reduction="none", label_smoothing=ctx.how.smoothing) * share
            grads = iter(torch.autograd.grad(loss, given, slope.expand_as(loss), create_graph=True))
            return *(next(grads) if need else None for need in ctx.needs), None, None, None
        if ctx.how.reduction == "none":
            _, made = _walk(x, weight, bias, target, share * slope, ctx.how, ctx.needs)
        else:
            made = [None if part is None else part * slope for part in made]
        parts = zip(made, (x, weight, bias), strict=True)
        return *(None if part is None else part.to(own.dtype) for part, own in parts), None, None, None


def _walk(
    x: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, share: Tensor, how: _How, needs: tuple[bool, ...]
) -> tuple[Tensor, _Slopes]:
    """Loss of each row, and the slopes of their sum, each times its share; no more than a chunk of scores at a time."""
    dtype, loss, target = share.dtype, torch.empty_like(share), target.clamp(0, len(weight) - 1)
    x = torch.where(share.unsqueeze(1) != 0, x, 0)
    dx = torch.empty_like(x) if needs[0] else None
    dw = torch.zeros_like(weight, dtype=dtype) if needs[1] else None
    db = torch.zeros_like(bias, dtype=dtype) if needs[2] and bias is not None else None
    for start in range(0, len(x), how.chunk):
        rows = slice(start, start + how.chunk)
        scores = F.linear(x[rows], weight, bias).to(dtype)
        loss[rows] = _row_losses_(scores, target[rows], share[rows], how.smoothing)
        slope = scores.to(x.dtype)
        if dx is not None:
            torch.mm(slope, weight, out=dx[rows])
        if dw is not None:
            dw = torch.addmm(dw, slope.T, x[rows], out=dw) if dtype == x.dtype else dw.add_(slope.T @ x[rows])
        if db is not None:
            db += slope.sum(0, dtype=dtype)
    return loss, _Slopes(dx, dw, db)


def _row_losses_(scores: Tensor, target: Tensor, share: Tensor, smoothing: float) -> Tensor:
    """Loss of each row; the scores become its slope times its share."""
    top, index, share = scores.amax(1, keepdim=True), target.unsqueeze(1), share.unsqueeze(1)
    aim = scores.gather(1, index)
    if smoothing:
        aim = torch.lerp(aim, scores.mean(1, keepdim=True), smoothing)
    total = scores.sub_(top).exp_().sum(1, keepdim=True)
    scores.mul_(share / total).scatter_add_(1, index, share * (smoothing - 1))
    if smoothing:
        scores.sub_(share * (smoothing / scores.shape[1]))
    return (top + total.log() - aim).squeeze(1)


def _misfit(x: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None) -> str:
    """What to do about arguments that do not fit; empty if they do."""
    if target.is_floating_point() or target.is_complex():
        return "target.long() if it holds class indices"
    if not x.is_floating_point() or x.ndim == 0 or x.shape[:-1] != target.shape:
        return "one row of x for each label"
    if weight.ndim != 2 or len(weight) == 0 or weight.shape[1] != x.shape[-1]:
        return "weight.T if it is (D, V)"
    if bias is not None and bias.shape != weight.shape[:1]:
        return "one bias for each row of weight"
    dtypes = {part.dtype for part in (x, weight, bias) if part is not None}
    mixed = len(dtypes) > 1 and not torch.is_autocast_enabled(x.device.type)
    return "x.to(weight.dtype), or torch.autocast" if mixed else ""
