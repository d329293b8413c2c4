"""Distances to the nearest 0 by whole tensors on their device, one dimension after the other.

Along the last dimension steps are counted. Along each other one the squared distance is the least of
``f(j) + (i - j)^2`` over all ``j``, where ``f`` is the squared distance by the dimensions so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from torch import Tensor

_NEAR = 127
"""A distance whose square, twice, fits in an int16."""


def nearest_zero(maps: Tensor, steps: Sequence[float], dtype: torch.dtype) -> Tensor:
    """Distances in maps (M, *S) of 0 and 1, with a 0 in each or nothing else; ``steps`` are the sizes of a pixel."""
    if maps.device.type != "cpu" or len(set(steps)) > 1:
        return _far(maps, steps, dtype)
    most = max(1, 2**19 // maps[0].numel())  # maps that a cache holds
    return torch.cat([_near_or_far(part, steps, dtype) for part in torch.split(maps, most)])


def _near_or_far(maps: Tensor, steps: Sequence[float], dtype: torch.dtype) -> Tensor:
    """Short distances in int16, in a window around each pixel. Reads numbers, which costs nothing on a CPU."""
    count = _count(maps, _NEAR, torch.int16)
    bound = count.clone()
    for dim in range(1, maps.ndim - 1):
        _walk_(bound, dim, _NEAR)  # of city blocks: never shorter than the distance
    near = bound.flatten(1).amax(1) < _NEAR
    distance = torch.empty(maps.shape, dtype=dtype)
    if bool(near.any()):
        squares = count[near].square_()
        for dim in reversed(range(1, maps.ndim - 1)):
            _within_reach_(squares.view(-1, maps.shape[dim], squares.stride(dim)))
        distance[near] = squares.to(dtype).sqrt_().mul_(steps[0])
    if not bool(near.all()):
        distance[~near] = _far(maps[~near], steps, dtype)
    return distance


def _within_reach_(f: Tensor) -> None:
    """``min_j f(j) + (i - j)^2`` along dimension 1 of (M, L, R), in place, where it is less than ``_NEAR^2``."""
    size, reach = f.shape[1], min(f.shape[1] - 1, isqrt(int(f.max())))
    padded = f.new_full((f.shape[0], size + 2 * reach, f.shape[2]), _NEAR**2)
    padded[:, reach : reach + size] = f
    either = torch.empty_like(f)
    for k in range(1, reach + 1):
        if k % 4 == 0 and int(f.max()) <= k * k:
            break
        before, after = (padded[:, start : start + size] for start in (reach - k, reach + k))
        torch.minimum(before, after, out=either)
        torch.minimum(f, either.add_(k * k), out=f)


def _far(maps: Tensor, steps: Sequence[float], dtype: torch.dtype) -> Tensor:
    """Any distances, with no number read."""
    size = maps.shape[-1]
    count = _count(maps, size, torch.int32)
    f = (count.to(dtype) * steps[-1]).square_().masked_fill_(count == size, torch.inf)
    for dim in reversed(range(1, maps.ndim - 1)):
        f = _least(f.view(-1, maps.shape[dim], f.stride(dim)), steps[dim - 1]).view(maps.shape)
    return f.sqrt_()


def _least(f: Tensor, step: float) -> Tensor:
    """``min_j f(j) + (i - j)^2`` along dimension 1 of (M, L, R), for a few ``i`` at a time."""
    at = torch.arange(f.shape[1], device=f.device, dtype=f.dtype) * step
    cost, least = (at.unsqueeze(1) - at).square_().unsqueeze(2), torch.empty_like(f)
    most = 2**18 if f.device.type == "cpu" else 2**26  # numbers: what a cache holds, or 256 MiB
    rows = min(f.shape[1], max(1, most // f.numel()))
    sums = f.new_empty(f.shape[0], rows, *f.shape[1:])
    for part, into in zip(torch.split(cost, rows), torch.split(least, rows, 1), strict=True):
        torch.amin(torch.add(f.unsqueeze(1), part, out=sums[:, : len(part)]), 2, out=into)
    return least


def _count(maps: Tensor, most: int, dtype: torch.dtype) -> Tensor:
    """Steps to the nearest 0 along the last dimension, at most ``most``."""
    count = maps.to(dtype).mul_(most)
    _walk_(count, maps.ndim - 1, most)
    return count


def _walk_(count: Tensor, dim: int, most: int) -> None:
    """Fewer steps where a pixel on the way along ``dim`` has fewer, in place; strides of 1, 2, 4 ... reach all."""
    size, stride = count.shape[dim], 1
    while stride < min(most, size):
        behind, ahead = count.narrow(dim, 0, size - stride), count.narrow(dim, stride, size - stride)
        torch.minimum(ahead, behind + stride, out=ahead)
        torch.minimum(behind, ahead + stride, out=behind)
        stride *= 2
