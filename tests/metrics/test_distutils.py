"""Which samples a rank sees, and which of them are padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, DistributedSampler

from dltools.errors import ConfigError
from dltools.metrics import EvalSampler, valid_mask, with_valid


@given(st.integers(0, 30), st.integers(1, 7))
def test_every_sample_is_valid_once(size: int, world: int) -> None:
    seen, lengths, torchs = [], set(), []
    for rank in range(world):
        index = list(EvalSampler(size, rank, world))
        mask = valid_mask(size, world, rank)
        assert mask.dtype == torch.bool
        assert len(mask) == len(index) == len(EvalSampler(size, rank, world))
        lengths.add(len(index))
        seen += [i for i, valid in zip(index, mask.tolist(), strict=True) if valid]
        assert list(EvalSampler(size, rank, world, even=False)) == list(range(rank, size, world))
        if size:
            sampler: Any = DistributedSampler(range(size), world, rank, shuffle=True, seed=3)  # type: ignore[arg-type]
            torchs += [i for i, valid in zip(sampler, mask.tolist(), strict=True) if valid]
    assert sorted(seen) == sorted(torchs or seen) == list(range(size))
    assert len(lengths) == 1


@pytest.mark.parametrize(("batch", "drop_last"), [(1, False), (2, False), (3, False), (3, True)])
def test_batches_come_with_their_mask(batch: int, drop_last: bool) -> None:
    data: Any = list(range(7))
    for make in (lambda r: EvalSampler(7, r, 3), lambda r: DistributedSampler(data, 3, r, shuffle=False)):
        valid: list[int] = []
        for rank in range(3):
            loader = DataLoader(data, batch_size=batch, sampler=make(rank), drop_last=drop_last)
            for x, mask in with_valid(loader):
                assert mask.shape == (len(x),)
                valid += x[mask].tolist()
        assert sorted(valid) == data


def test_samplers_that_pad_nothing_are_all_valid() -> None:
    data: Any = list(range(5))
    for sampler in (None, EvalSampler(5, 0, 2, even=False), DistributedSampler(data, 2, 0, drop_last=True)):
        loader = DataLoader(data, batch_size=2, sampler=sampler)
        assert all(mask.all() for _, mask in with_valid(loader))


def test_misuse_is_refused() -> None:
    for size, rank, world in [(-1, 0, 1), (5, 2, 2), (5, -1, 2)]:
        with pytest.raises(ConfigError, match="0 <= rank < world"):
            EvalSampler(size, rank, world)
    with pytest.raises(ConfigError, match="no batch_size"):
        next(iter(with_valid(DataLoader([1, 2], batch_size=None))))  # type: ignore[arg-type]
    assert len(EvalSampler(3)) == 3
