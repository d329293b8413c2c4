"""GIoU of pairs of boxes and its slopes in one pass, over rows of coordinates, which are fast, not columns of boxes.

With I, U, H the areas of overlap, union and enclosing box, A that of a box, and dU = dA + dB - dI:

    d(I/U + U/H) = (1/U - g) dI + g (dA + dB) - U/H^2 dH,  g = 1/H - I/U^2

A length is the difference of a larger and a smaller corner. Its slope goes to the box that has that corner, or in
halves to both, so that the slope of a box with itself is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.functional.spans import FAR, SHORT, bounded, length, spans
from dltools.functional.sums import apart

_LEAST = SHORT**2 / 2
"""Below the area of any box that has one."""


class GIoUPass(torch.autograd.Function):
    """Boxes (N, 4) and (N, 4) in the form xyxy -> (N,)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        value, slopes = _pass(_rows(a), _rows(b), ctx.needs_input_grad)
        ctx.save_for_backward(a, b, *slopes)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, b, *slopes = ctx.saved_tensors
        needs = ctx.needs_input_grad
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # these slopes have slopes
            wanted = [x for x, need in zip((a, b), needs, strict=True) if need]
            value = spans(bounded(a), bounded(b)).giou
            found = iter(torch.autograd.grad(value, wanted, grads[0], create_graph=True))
        else:
            found = iter([_columns(slopes[i : i + 4], grads[0]) for i in range(0, len(slopes), 4)])
        return tuple(next(found) if need else None for need in needs)


def giou_pass(a: Tensor, b: Tensor) -> Tensor:
    """GIoU of boxes (..., 4): (...)."""
    flat = cast(Callable[..., Tensor], GIoUPass.apply)(a.reshape(-1, 4), b.reshape(-1, 4))
    return flat.view(a.shape[:-1])


def _rows(x: Tensor) -> Tensor:
    """Bounded corners, (4, N)."""
    if torch.compiler.is_compiling():  # from columns no vectors are loaded
        return apart(x.t().contiguous()).clamp(-FAR, FAR)
    return torch.clamp(x.t(), -FAR, FAR, out=x.new_empty(4, len(x)))


def _columns(rows: Sequence[Tensor], scale: Tensor) -> Tensor:
    """Four scaled rows as (N, 4)."""
    if torch.compiler.is_compiling():
        return torch.stack([row * scale for row in rows], 1)
    out = scale.new_empty(len(scale), 4)
    for row, column in zip(rows, out.unbind(1), strict=True):
        torch.mul(row, scale, out=column)
    return out


def _pass(a: Tensor, b: Tensor, needs: Sequence[bool]) -> tuple[Tensor, list[Tensor]]:
    """GIoU, and for each box that needs it the slopes by its four corners; in place on what is its own."""
    sides = [length(x[2:] - x[:2]) for x in (a, b)]
    delta, low, top = a - b, torch.minimum(a, b), a.clamp_min_(b)
    over, lengths = length(low[2:] - top[:2]), [x[2:] - x[:2] for x in (top, low)]
    around = torch.maximum(top[2:], top[:2]).sub_(torch.minimum(low[2:], low[:2]))
    inter, hull, *areas = (x[0] * x[1] for x in (over, around, *sides))
    union = (areas[0] + areas[1]).sub_(inter)
    differ = top.sub_(low).sum(0).add_(union).sign_()  # 0 where both are the same and have no area
    some, hull = F.threshold(union, _LEAST, 1.0), F.threshold(hull, _LEAST, 1.0, inplace=True)
    iou, filled = inter / some, union / hull
    value = (iou + filled).sub_(differ, alpha=2).add_(1)
    if not any(needs):
        return value, []
    by_hull = filled.div_(hull).div_(-2)
    by_area = torch.addcdiv(hull.reciprocal_(), iou, some, value=-1)
    by_inter = _where(some.reciprocal_().sub_(by_area).div_(2), inter)
    ends = [_ends([x[i] for x in lengths], over[1 - i] * by_inter, around[1 - i] * by_hull) for i in (0, 1)]
    larger = delta.sign_()
    slopes = _slopes(ends, larger, sides[0], _where(by_area, areas[0])) if needs[0] else []
    if needs[1]:
        slopes += _slopes(ends, larger.neg_(), sides[1], _where(by_area, areas[1]))
    return value, slopes


def _ends(lengths: Sequence[Tensor], by_over: Tensor, by_around: Tensor) -> tuple[Tensor, ...]:
    """Along one axis: half the slopes by the two ends together, and by the larger less the smaller beginning, end."""
    # part of the largest end and of the smallest beginning: all, unless a box is inverted
    last, first = (_where(by_around, x, -SHORT) for x in lengths)
    gap, twist = by_around - by_over, last - first
    return last.add_(first).sub_(gap), gap - twist, gap.add_(twist)


def _slopes(ends: Sequence[tuple[Tensor, ...]], larger: Tensor, sides: Tensor, by_area: Tensor) -> list[Tensor]:
    """Of one box, by its corners x, y, x, y; ``larger``: 1 where its corner is, -1 where it is not, 0 if equal."""
    rows: list[Tensor] = [by_area] * 4
    for i, (both, begins, stops) in enumerate(ends):
        pull = both + sides[1 - i] * by_area
        rows[i], rows[2 + i] = torch.addcmul(-pull, larger[i], begins), torch.addcmul(pull, larger[2 + i], stops)
    return rows


def _where(x: Tensor, other: Tensor, above: float = 0.0) -> Tensor:
    """``x`` where another number is above something, else 0: faster than by a mask."""
    return cast(Tensor, torch.ops.aten.threshold_backward(x, other, above))
