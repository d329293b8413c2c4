"""Nearest neighbours of every embedding among all others, in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Distance = Literal["cosine", "l2"]
CHUNK = 2**22
"""Similarities that are held at a time."""


class Neighbours(NamedTuple):
    """What stands nearest to each query, and how many there are to be found."""

    relevant: Tensor
    """Bool (N, depth): whether the neighbour has the query's label, the nearest first."""
    num_relevant: Tensor
    """(N,): others with the query's label."""
    first: Callable[[], Tensor]
    """Finds the place of each query's nearest relevant one, (N,), from 1; 0 where there is none."""


def search(x: Tensor, labels: Tensor, depth: int, distance: Distance) -> Neighbours:
    """The ``depth`` nearest of (N, D), each query left out; of equally near ones the lower number comes first.

    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> search(x, torch.tensor([0, 1, 0]), 2, "l2").relevant.tolist()
    [[False, True], [False, False], [False, True]]
    """
    depth = max(0, min(depth, len(x) - 1))
    best = [_nearest(near, depth) for _, near in _chunks(x, distance)]
    nearest = torch.cat([torch.zeros(0, depth, dtype=torch.int64), *best])
    _, kind, size = np.unique(labels.numpy(), return_inverse=True, return_counts=True)
    return Neighbours(
        labels[nearest] == labels.unsqueeze(1),
        torch.from_numpy(size[kind] - 1),
        lambda: first_match(x, labels, distance),
    )


def first_match(x: Tensor, labels: Tensor, distance: Distance) -> Tensor:
    """The place, from 1, of the nearest one with the query's label, (N,); 0 where there is none.

    >>> first_match(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 1, 0]), "l2").tolist()
    [2, 0, 2]
    """
    if not len(x):
        return torch.zeros(0, dtype=torch.int64)
    places = []
    for rows, near in _chunks(x, distance):
        same = labels[rows].unsqueeze(1) == labels
        same[torch.arange(len(rows)), rows] = False
        hit, number = near.masked_fill(~same, -torch.inf).max(1, keepdim=True)  # the first of equal ones
        before = (near > hit) | ((near == hit) & (torch.arange(len(x)) < number))
        places.append(torch.where(same.any(1), before.sum(1) + 1, 0))
    return torch.cat(places)


def _nearest(near: Tensor, depth: int) -> Tensor:
    """Numbers of the nearest; topk leaves the order of equal ones open, so rows that have some are sorted."""
    found = near.topk(min(depth + 1, near.shape[1]), 1)
    tied = (found.values[:, 1:] == found.values[:, :-1]).any(1)
    indices = found.indices[:, :depth]
    if bool(tied.any()):
        indices[tied] = near[tied].argsort(dim=1, descending=True, stable=True)[:, :depth]
    return indices


def _chunks(x: Tensor, distance: Distance) -> Iterator[tuple[Tensor, Tensor]]:
    """Some queries, and how near all are to them: more is nearer, and a query is not near itself."""
    x = torch.nn.functional.normalize(x, dim=1) if distance == "cosine" else x - x[:1]  # an offset costs digits
    half = x.square().sum(1) / 2
    for rows in torch.split(torch.arange(len(x)), max(1, CHUNK // max(1, len(x)))):
        near = x[rows] @ x.T
        if distance == "l2":
            near -= half
        near[torch.arange(len(rows)), rows] = -torch.inf
        yield rows, near
