"""Nearest neighbours of every embedding among all others, in chunks."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

CHUNK = 2**24
"""Similarities that are held at a time."""


class Neighbours(NamedTuple):
    """What stands nearest to each query, and how many there are to be found."""

    relevant: Tensor
    """Bool (N, depth): whether the neighbour has the query's label, the nearest first."""
    num_relevant: Tensor
    """(N,): others with the query's label."""
    first: Tensor
    """(N,): place of the nearest relevant one, from 1; 0 where there is none."""


def search(x: Tensor, labels: Tensor, depth: int, distance: Literal["cosine", "l2"]) -> Neighbours:
    """The ``depth`` nearest of (N, D), each query left out; of equally near ones any comes first.

    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> search(x, torch.tensor([0, 1, 0]), 2, "l2").relevant.tolist()
    [[False, True], [False, False], [False, True]]
    """
    n = len(x)
    depth = min(depth, n - 1)
    if n < 2:
        return Neighbours(torch.zeros(n, 0, dtype=torch.bool), torch.zeros(n, dtype=torch.int64), torch.zeros(n).long())
    x = torch.nn.functional.normalize(x, dim=1) if distance == "cosine" else x
    half = x.square().sum(1) / 2
    found = []
    for rows in torch.split(torch.arange(n), max(1, CHUNK // n)):
        near = x[rows] @ x.T
        near = near if distance == "cosine" else near - half
        same = labels[rows].unsqueeze(1) == labels
        own = torch.arange(len(rows)), rows
        near[own], same[own] = -torch.inf, False
        best = near.topk(depth, 1).indices
        hit = near.masked_fill(~same, -torch.inf).amax(1, keepdim=True)
        first = torch.where(same.any(1), (near > hit).sum(1) + 1, 0)
        found.append(Neighbours(same.gather(1, best), same.sum(1), first))
    return Neighbours(*map(torch.cat, zip(*found, strict=True)))
