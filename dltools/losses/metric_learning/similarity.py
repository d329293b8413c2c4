"""How near embeddings are to each other."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

Distance: TypeAlias = Literal["squared", "euclidean", "cosine"]
SHORT = 1e-12
"""A vector whose largest entry is below it has no direction, and no slope."""


def unit(x: Tensor) -> Tensor:
    """Rows of length 1; 0 for a row without a direction. Neither large nor small entries overflow.

    >>> unit(torch.tensor([[3e30, 4e30], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000], [0.0000, 0.0000]])
    """
    largest = x.detach().abs().amax(1, keepdim=True)
    none = largest < SHORT
    x = x.masked_fill(none, 0) / largest.masked_fill(none, 1)
    return x / x.square().sum(1, keepdim=True).masked_fill(none, 1).sqrt()


def cosines(x: Tensor, y: Tensor) -> Tensor:
    """Of each row of one with each of the other."""
    return unit(x) @ unit(y).T


def distances(x: Tensor, kind: Distance) -> Tensor:
    """Of each row to each other one, in float64, where the difference of squares stays exact enough: (N, N).

    >>> distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), "euclidean")
    tensor([[0., 5.], [5., 0.]], dtype=torch.float64)
    """
    x = x.double()
    if kind == "cosine":
        return 1 - cosines(x, x)
    length = x.square().sum(1)
    squared = (length.unsqueeze(1) + length - 2 * x @ x.T).clamp_min(0)
    if kind == "squared":
        return squared
    zero = squared == 0
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def log_sum(x: Tensor, where: Tensor) -> Tensor:
    """Logarithm of the sum of exponentials of the entries of a row that count; about -1e30 if none does."""
    return x.masked_fill(~where, -1e30).logsumexp(1)


def mean_of(x: Tensor, where: Tensor) -> Tensor:
    """Mean of the entries of a row that count; 0 if none does."""
    return torch.where(where, x, 0).sum(1) / where.sum(1).clamp_min(1)
