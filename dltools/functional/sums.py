"""Sums over pixels: exact enough for a million of them, without a temporary of the size of the input."""

from __future__ import annotations

import torch
from torch import Tensor


def ratio(num: Tensor, den: Tensor) -> Tensor:
    """``num / den``, and 0 with zero gradient where ``den`` is 0.

    >>> ratio(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]))
    tensor([0.5000, 0.0000])
    """
    none = den == 0
    return (num / den.masked_fill(none, 1)).masked_fill(none, 0)


def add_up(x: Tensor) -> Tensor:
    """(N, C, *S) -> (N, C) in float64: rows in the dtype of ``x``, by torch's cascade; the sums of rows in float64."""
    rows = x.sum(-1) if x.ndim > 2 else x
    return rows.flatten(2).sum(2, dtype=torch.float64) if rows.ndim > 2 else rows.double()


def pick(x: Tensor, index: Tensor) -> Tensor:
    """The entry of (N, C, *S) that ``index`` (N, *S) names: (N, *S)."""
    if torch.compiler.is_compiling():  # a comparison fuses with what stands around it, a gather and its backward do not
        return torch.where(one_of(index, x.shape[1]), x, 0).sum(1)
    return x.gather(1, index.unsqueeze(1)).squeeze(1)


def per_class(x: Tensor, index: Tensor, num_classes: int) -> Tensor:
    """Sums of ``x`` (N, *S) by class: (N, C), as exact as ``add_up``."""
    if torch.compiler.is_compiling():
        return add_up(torch.where(one_of(index, num_classes), x.unsqueeze(1), 0))
    if x.ndim < 3 or x.shape[-1] < num_classes:  # else sums of rows are as many as pixels
        x = x.double().unsqueeze(-1).flatten(1).unsqueeze(1)
        index = index.unsqueeze(-1).flatten(1).unsqueeze(1)
    x, index = x.flatten(1, -2), index.flatten(1, -2)
    rows = x.new_zeros((*x.shape[:2], num_classes)).scatter_add(2, index, x)
    return rows.sum(1, dtype=torch.float64)


def apart(x: Tensor) -> Tensor:
    """``x`` itself, over which no compiler fuses.

    Without it the formula of a few sums, or its slope, would be computed again for each pixel.
    """
    return _copy(x) if torch.compiler.is_compiling() else x


@torch.library.custom_op("dltools::apart", mutates_args=())
def _copy(x: Tensor) -> Tensor:
    return x.clone()


_copy.register_fake(torch.empty_like)
_copy.register_autograd(lambda _, slope: _copy(slope))


def one_of(index: Tensor, num_classes: int) -> Tensor:
    """Whether a pixel belongs to a class: (N, C, *S), for the compiler to fuse away."""
    classes = torch.arange(num_classes, device=index.device, dtype=torch.float32)
    return index.float().unsqueeze(1) == classes.view(1, -1, *[1] * (index.ndim - 1))


def total(x: Tensor) -> Tensor:
    """Sum of all elements in float64."""
    return apart((x if x.ndim < 2 else x.sum(-1)).sum(dtype=torch.float64))
