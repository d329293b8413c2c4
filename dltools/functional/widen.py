"""From half precision to float32, and gradients back without overflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor


def widen(x: Tensor) -> Tensor:
    """Float32 or better; a gradient beyond what half precision holds comes back as its largest number, not infinite.

    For losses whose slope has no bound, such as those of a variance or of the direction of a short vector.

    >>> x = torch.tensor([1e-4], dtype=torch.float16, requires_grad=True)
    >>> (1 / widen(x)).backward()
    >>> x.grad
    tensor([-65504.], dtype=torch.float16)
    """
    if torch.promote_types(x.dtype, torch.float32) == x.dtype:
        return x
    return cast(Callable[..., Tensor], _Widen.apply)(x)


class _Widen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.dtype = x.dtype
        return x.float()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        most = torch.finfo(ctx.dtype).max
        return slopes[0].clamp(-most, most).to(ctx.dtype)
