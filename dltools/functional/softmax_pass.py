"""Softmax (or sigmoid) and the target's log-probability in one pass, with one backward.

With ``p`` the probabilities and ``t`` the target's class, a loss is a function of ``log p_t`` per pixel and of sums of
``p``. Its gradient by the logits needs no more than ``p``, so that nothing else of that size is kept:

    dz_c = p_c (dp_c - sum_k p_k dp_k - u) + [t = c] u,  u = dlog_p_t

Sums over pixels have a ``dp`` that is the same for all of them and takes no memory. Their own gradients are those of
plain operations, save that of the sum of squares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.functional.sums import add_up, one_of, pick


class SoftmaxPass(torch.autograd.Function):
    """(logits, index, valid) -> (log_p, p); 0 where not valid, whatever is there."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, index: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        log_probs = logits.log_softmax(1, dtype=dtype)
        log_p = torch.where(valid, pick(log_probs, index), 0)
        p = _erase(log_probs.exp_(), valid.unsqueeze(1))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(p, index, valid)
        ctx.dtype = logits.dtype
        return log_p, p

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor, None, None]:
        """In place on its own result only: so it can be differentiated once more, ``p`` being an output."""
        d_log_p, d_p = slopes
        p, index, valid = ctx.saved_tensors
        u = torch.zeros_like(index, dtype=p.dtype) if d_log_p is None else torch.where(valid, d_log_p, 0)
        if torch.compiler.is_compiling():  # in forms that fuse
            dp = torch.zeros_like(p) if d_p is None else d_p
            pull = (u + (p * dp).sum(1)).unsqueeze(1)
            hit = one_of(index, p.shape[1])
            return (p * (dp - pull) + torch.where(hit, u.unsqueeze(1), 0)).to(ctx.dtype), None, None
        if d_p is None:
            dz = p * -u.unsqueeze(1)
        else:
            dz = p * d_p
            dz.addcmul_(p, (u + dz.sum(1)).unsqueeze(1), value=-1)
        return dz.scatter_add_(1, index.unsqueeze(1), u.unsqueeze(1)).to(ctx.dtype), None, None


class SigmoidPass(torch.autograd.Function):
    """(logits, whether it is there, valid) -> (log_p, p) for elements with two sides; 0 where not valid.

    By the logits ``dlog_p = y - p`` and ``dp = p (1 - p)``, with ``y`` 0 or 1.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, y: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        x = logits.to(dtype)
        sign = y.to(dtype).mul_(2).sub_(1)
        log_p, p = _erase(F.logsigmoid(sign.mul_(x)), valid), _erase(x.sigmoid(), valid)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(p, y, valid)
        ctx.dtype = logits.dtype
        return log_p, p

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor, None, None]:
        d_log_p, d_p = slopes
        p, y, valid = ctx.saved_tensors
        dz = torch.zeros_like(p) if d_log_p is None else (y.to(p.dtype) - p) * d_log_p
        dz = dz if d_p is None else torch.addcmul(dz, p - p * p, d_p)
        dz = torch.where(valid, dz, 0) if torch.is_grad_enabled() else _erase(dz, valid)
        return dz.to(ctx.dtype), None, None


class SumOfSquares(torch.autograd.Function):
    """``add_up(x * x)`` without the product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        rows = x if x.ndim == 2 else torch.linalg.vector_norm(x, dim=-1)
        squares = rows.double().square()
        return squares.flatten(2).sum(2) if squares.ndim > 2 else squares

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return 2 * x * slopes[0].to(x.dtype).view(*slopes[0].shape, *[1] * (x.ndim - 2))


def softmax_pass(logits: Tensor, index: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """``log_p`` (N, *S) and ``p`` (N, C, *S); class indices are (N, *S)."""
    return cast(Callable[..., tuple[Tensor, Tensor]], SoftmaxPass.apply)(logits, index, valid)


def sigmoid_pass(logits: Tensor, y: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """``log_p`` and ``p``, (N, C, *S); ``y`` and ``valid`` are bools of that shape."""
    return cast(Callable[..., tuple[Tensor, Tensor]], SigmoidPass.apply)(logits, y, valid)


def sum_of_squares(x: Tensor) -> Tensor:
    """(N, C, *S) -> (N, C) in float64."""
    if torch.compiler.is_compiling():
        return add_up(x * x)
    return cast(Callable[..., Tensor], SumOfSquares.apply)(x)


def _erase(x: Tensor, keep: Tensor) -> Tensor:
    """0 where not ``keep``, NaN too; in place, on the bits, which is several times faster than ``masked_fill_``."""
    if torch.compiler.is_compiling():  # which fuses it
        return torch.where(keep, x, 0)
    integer = torch.int64 if x.dtype == torch.float64 else torch.int32
    x.view(integer).bitwise_and_(keep.to(integer).neg_())
    return x
