"""Kernels over many tensors at once; interpolation and copies that a flag on the device may switch off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

KERNELS: Any = torch
"""Its stubs lack some foreach functions."""
LIMIT = 2**26
"""Numbers of a copy that is made for a moment."""


def lerp_(old: list[Tensor], new: list[Tensor], weight: float, skipped: Tensor | None = None) -> None:
    """``old += weight * (new - old)`` in place; nothing where ``skipped``, 0-d, is set, which is not read on the host.

    >>> a = [torch.zeros(2)]
    >>> lerp_(a, [torch.ones(2)], 0.25)
    >>> lerp_(a, [torch.ones(2)], 0.25, skipped=torch.tensor(1.0))
    >>> a
    [tensor([0.2500, 0.2500])]
    """
    if skipped is None and old:
        KERNELS._foreach_lerp_(old, new, weight)
    if skipped is None:
        return
    groups: dict[tuple[torch.device, torch.dtype], tuple[list[Tensor], list[Tensor]]] = {}
    for x, y in zip(old, new, strict=True):
        into = groups.setdefault((x.device, x.dtype), ([], []))
        into[0].append(x)
        into[1].append(y)
    for (device, _), (olds, news) in groups.items():
        share = share_of(skipped, weight, olds[0])
        if device.type == "cpu":
            lerp_each(olds, news, share)
            continue
        for part in spans(olds, LIMIT):
            lerp_jointly(olds[part], news[part], share)


def share_of(skipped: Tensor, weight: float, like: Tensor) -> Tensor:
    """``weight``, or 0 where ``skipped`` is set: 0-d, in dtype and place of another tensor."""
    return (skipped <= 0).to(like.device, like.dtype).mul_(weight)


def spans(tensors: list[Tensor], limit: int) -> Iterator[slice]:
    """Parts of a list with at most so many numbers each, or one tensor: what is made beside them stays small.

    >>> list(spans([torch.zeros(n) for n in (2, 2, 9, 1)], 4))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    start = size = 0
    for i, x in enumerate(tensors):
        if size and size + x.numel() > limit:
            yield slice(start, i)
            start, size = i, 0
        size += x.numel()
    if tensors:
        yield slice(start, len(tensors))


def lerp_each(old: list[Tensor], new: list[Tensor], share: Tensor) -> None:
    """With a share on the device, in one pass per tensor: best where a kernel costs little to start."""
    KERNELS._foreach_lerp_(old, new, [share] * len(old))


def lerp_jointly(old: list[Tensor], new: list[Tensor], share: Tensor) -> None:
    """With a share on the device, in three kernels for all tensors."""
    change = KERNELS._foreach_sub(new, old)
    KERNELS._foreach_mul_(change, share)
    KERNELS._foreach_add_(old, change)


def copy_(old: list[Tensor], new: list[Tensor]) -> None:
    """``old[:] = new`` in place, whatever the dtypes."""
    if old:
        KERNELS._foreach_copy_(old, new)


def unless(skipped: Tensor | None, old: list[Tensor], new: list[Tensor]) -> list[Tensor]:
    """``new``; ``old`` where ``skipped`` is set, even if the new ones are NaN."""
    if skipped is None or not old:
        return new
    flags = {device: skipped.to(device) > 0 for device in {x.device for x in old}}
    return [torch.where(flags[x.device], x, y) for x, y in zip(old, new, strict=True)]
