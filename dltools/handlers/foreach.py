"""Kernels over many tensors at once; interpolation and copies that a flag on the device may switch off."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

KERNELS: Any = torch
"""Its stubs lack some foreach functions."""


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
    for (device, dtype), (olds, news) in groups.items():
        share = (skipped <= 0).to(device, dtype).mul_(weight)
        (lerp_each if device.type == "cpu" else lerp_jointly)(olds, news, share)


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
