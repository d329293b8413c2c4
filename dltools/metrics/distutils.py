"""Evaluation over ranks: which samples a rank sees, and which of them are padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DistributedSampler, Sampler

from dltools import dist
from dltools.errors import ConfigError

T_co = TypeVar("T_co", covariant=True)


class EvalSampler(Sampler[int]):
    """The samples r, r + W, r + 2W, ... of rank r; ``even`` repeats samples until all ranks have as many.

    >>> [list(EvalSampler(5, rank, 2)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(self, size: int, rank: int | None = None, world: int | None = None, even: bool = True) -> None:
        self.size: int = size
        self.even: bool = even
        self.world: int = dist.world() if world is None else world
        self.rank: int = dist.rank() if rank is None else rank
        if size < 0 or not 0 <= self.rank < self.world:
            raise ConfigError(
                f"size {size}, rank {self.rank}, world {self.world}", expected="size >= 0, 0 <= rank < world"
            )

    def __len__(self) -> int:
        return _length(self.size, self.world) if self.even else len(range(self.rank, self.size, self.world))

    def __iter__(self) -> Iterator[int]:
        return (p % self.size for p in range(self.rank, self.rank + len(self) * self.world, self.world))


def valid_mask(size: int, world: int, rank: int) -> Tensor:
    """Which positions of an even sampler are samples, not padding: position p is if ``rank + p * world < size``.

    >>> valid_mask(5, 2, 1)
    tensor([ True,  True, False])
    """
    return rank + torch.arange(_length(size, world)) * world < size


class Batches(Protocol[T_co]):
    """A loader: batches of ``batch_size`` samples in the order of its ``sampler``."""

    batch_size: int | None
    sampler: Any

    def __iter__(self) -> Iterator[T_co]: ...


def with_valid(loader: Batches[T_co]) -> Iterable[tuple[T_co, Tensor]]:
    """Each batch with the mask that leaves its padding out, for ``metrics.update(..., valid=valid)``.

    For loaders over `EvalSampler` or torch's ``DistributedSampler``; others pad nothing, so all is valid.

    >>> loader = torch.utils.data.DataLoader([0, 1, 2, 3, 4], batch_size=2, sampler=EvalSampler(5, 1, 2))
    >>> for batch, valid in with_valid(loader):
    ...     print(batch.tolist(), valid.tolist())
    [1, 3] [True, True]
    [0] [False]
    """
    size: int | None = getattr(loader, "batch_size", None)
    if size is None:
        raise ConfigError(
            "the loader has no batch_size",
            expected="a DataLoader of torch that makes its own batches",
            hint="a Loader with last='ragged' pads nothing and needs no mask",
        )
    mask = _mask(loader.sampler)
    for i, batch in enumerate(loader):
        yield batch, mask[i * size : (i + 1) * size]


def _mask(sampler: Any) -> Tensor:
    if isinstance(sampler, EvalSampler) and sampler.even:
        return valid_mask(sampler.size, sampler.world, sampler.rank)
    if isinstance(sampler, DistributedSampler) and not sampler.drop_last:
        return valid_mask(_size(sampler.dataset), sampler.num_replicas, sampler.rank)
    return torch.ones(len(sampler), dtype=torch.bool)


def _size(data: Any) -> int:
    return len(data)


def _length(size: int, world: int) -> int:
    return -(-size // world)
