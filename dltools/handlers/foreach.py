"""Kernels over many tensors at once, and a linear interpolation that a device-side flag may switch off."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

KERNELS: Any = torch
"""Its stubs lack some foreach functions."""


def lerp_(old: list[Tensor], new: list[Tensor], weight: float, skipped: bool | Tensor = False) -> None:
    """``old += weight * (new - old)`` in place; nothing where ``skipped`` is set, which is not read on the host.

    ``weight`` 1 copies exactly, integers too. A skipped tensor keeps its bits, even if the new one is NaN.

    >>> a = [torch.zeros(2)]
    >>> lerp_(a, [torch.ones(2)], 0.25)
    >>> lerp_(a, [torch.ones(2)], 0.25, skipped=torch.tensor(1.0))
    >>> a
    [tensor([0.2500, 0.2500])]
    """
    if not old or skipped is True:
        return
    if isinstance(skipped, Tensor):
        skips = {skipped.device: skipped > 0}
        for x in old:
            if x.device not in skips:
                skips[x.device] = next(iter(skips.values())).to(x.device)
        new = [torch.where(skips[x.device], x, y) for x, y in zip(old, new, strict=True)]
    if weight == 1.0:
        KERNELS._foreach_copy_(old, new)
    else:
        KERNELS._foreach_lerp_(old, new, weight)
