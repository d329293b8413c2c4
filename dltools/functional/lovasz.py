"""The Lovász extension of the Jaccard loss: errors in bins, or sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from dltools.functional.counts import Over

_CHUNK = 1 << 18
"""Elements that are given their bins at a time: a CPU keeps them in its cache."""


class Errors(NamedTuple):
    """How wrong elements are, (N, R, M), and how much they weigh; rows are apart."""

    size: Tensor
    weight: Tensor
    """(N, 1, M), or of each element."""
    unit: Tensor | None = None
    """Where ``size`` may be more than 1, the same squeezed into 0 to 1: bins are even in it, and it has no gradient."""
    row: Tensor | None = None
    """Which row an element belongs to, (N, 1, M), if R is 1."""


def error_sums(errors: Errors, num_rows: int, bins: int, *, over: Over = "batch") -> Tensor:
    """Weights and weighted errors by bin, (2, N or 1, rows, bins) in float64; the latter have a gradient."""
    groups = len(errors.size) if over == "sample" else 1
    return cast(Callable[..., Tensor], _ErrorSums.apply)(*errors, groups, num_rows, bins)


class _ErrorSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        ctx.save_for_backward(*given[:4])
        sums: Tensor = _sums(*given)
        return sums

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        apply = cast(Callable[..., Tensor], _ErrorSlopes.apply)
        return apply(slopes[0][1], *ctx.saved_tensors), *[None] * 6


class _ErrorSlopes(torch.autograd.Function):
    """The gradient of the errors by that of their sums, in which it is linear."""

    @staticmethod
    def forward(ctx: Any, slope: Tensor, *parts: Any) -> Tensor:
        ctx.save_for_backward(*parts)
        ctx.table = slope.shape
        slopes: Tensor = _slopes(slope, *parts)
        return slopes

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        size, weight, unit, row = ctx.saved_tensors
        given = slopes[0], weight, size if unit is None else unit, row, *ctx.table
        sums = cast(Callable[..., Tensor], _ErrorSums.apply)(*given)
        return sums[1], *[None] * 4


@torch.library.custom_op("dltools::error_sums", mutates_args=())
def _sums(
    size: Tensor, weight: Tensor, unit: Tensor | None, row: Tensor | None, groups: int, num_rows: int, bins: int
) -> Tensor:
    sums = size.new_zeros((2, groups, num_rows, bins))
    flat = sums if row is None else sums.flatten(2).unsqueeze(2)
    for n, r in _chunks(size):
        number, rest = flat[:, n % groups, r]
        x = size[n, r]
        place, inside = _places(x if unit is None else unit[n, r], None if row is None else row[n], bins)
        share = weight[n] if weight.shape[1] == 1 else weight[n, r]
        number.scatter_add_(1, place, share.expand_as(x))
        rest.scatter_add_(1, place, (inside if unit is None else x) * share)
    number, rest = sums.double()
    if unit is None:
        rest = (number * torch.arange(bins, device=size.device) + rest) / (bins - 1)
    return torch.stack([number, rest])


@_sums.register_fake
def _(size: Tensor, *given: Any) -> Tensor:
    return size.new_empty((2, *given[-3:]), dtype=torch.float64)


@torch.library.custom_op("dltools::error_slopes", mutates_args=())
def _slopes(slope: Tensor, size: Tensor, weight: Tensor, unit: Tensor | None, row: Tensor | None) -> Tensor:
    out, table = torch.empty_like(size), slope.to(size.dtype)
    table = table if row is None else table.flatten(1).unsqueeze(1)
    for n, r in _chunks(size):
        place, _ = _places((size if unit is None else unit)[n, r], None if row is None else row[n], slope.shape[-1])
        torch.gather(table[n % len(table), r], 1, place, out=out[n, r])
        out[n, r].mul_(weight[n] if weight.shape[1] == 1 else weight[n, r])
    return out


_slopes.register_fake(lambda *given: torch.empty_like(given[1]))


def _places(unit: Tensor, row: Tensor | None, bins: int) -> tuple[Tensor, Tensor]:
    """The bins of values in 0 to 1, and how far into them they reach."""
    unit = unit * (bins - 1)
    place = unit.long().clamp_(0, bins - 1)  # where they are NaN too, which their sum tells
    return place if row is None else place.add_(row, alpha=bins), unit.frac_()


def _chunks(x: Tensor) -> Iterator[tuple[int, slice]]:
    step = max(1, _CHUNK // max(1, x.shape[2]))
    return ((n, slice(r, r + step)) for n in range(len(x)) for r in range(0, x.shape[1], step))


def lovasz_slopes(background: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    r"""How much the Jaccard loss grows by an error in each bin, from the weights of both sides in it, (..., bins).

    With all errors of at least that size wrong, F of the T targets and B beside them, the loss is
    :math:`1 - (T - F) / (T + B)`. Errors of one bin are taken as if either side came first, and the mean of both ways.
    """
    background = background.clamp_min(0)  # of weights that are no integers a little less may be left
    total = target.sum(-1, keepdim=True)
    total = total.masked_fill(total == 0, 1)
    missed, added = (x.flip(-1).cumsum(-1).flip(-1) for x in (target, background))
    before, after = 1 / (total + added - background), 1 / (total + added)
    return (total - missed + target / 2).clamp_min(0) * before * after, (before + after) / 2


def lovasz_sorted(errors: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """The Lovász extension of each row, from all (..., M) errors, their shares of the target and weights."""
    size, order = errors.sort(-1, descending=True)
    weight = weight.double().expand_as(errors).gather(-1, order)
    target = weight * y.double().gather(-1, order)
    missed, added = target.cumsum(-1), (weight - target).cumsum(-1)
    total = target.sum(-1, keepdim=True)
    total = total.masked_fill(total == 0, 1)
    loss = 1 - (total - missed) / (total + added)
    return (size * loss.diff(dim=-1, prepend=torch.zeros_like(total))).sum(-1)
