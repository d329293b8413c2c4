"""What a transform is given, and what becomes of the global generators."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from dltools.data import Loader, SequentialSamplerCfg
from dltools.rng import Key, key
from tests.data.sources import Noisy


def states() -> list[Any]:
    name, words, *rest = np.random.get_state()
    return [random.getstate(), (name, words.tolist(), *rest), torch.default_generator.get_state().tolist()]  # type: ignore[union-attr]


def loader_of(source: Any, transform: Any = None, **fields: Any) -> Loader:
    return Loader(source, transform, batch_size=4, sampler=SequentialSamplerCfg(), **fields)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_callers_generators_go_on_as_if_nothing_was_drawn(workers: int) -> None:
    loader = loader_of(Noisy(8), workers=workers)
    before = states()
    for _ in loader:
        assert states() == before
    assert states() == before
    loader.close()


def test_they_are_put_back_after_an_error_too() -> None:
    def fail(sample: Any) -> None:
        random.random()
        raise KeyError("gone")

    before = states()
    with pytest.raises(KeyError, match="gone"):
        list(loader_of(Noisy(4), fail))
    assert states() == before


def test_a_sample_draws_what_its_key_seeds() -> None:
    loader = loader_of(Noisy(5), seed=9)
    loader.set_epoch(2)
    found = np.concatenate([batch["noise"].numpy() for batch in loader])
    for position, row in enumerate(found):
        seed = key(9, "sample", 2, position).seed()
        expected = [random.Random(seed).random(), np.random.RandomState(seed % 2**32).rand()]
        drawn = torch.rand((), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).item()
        assert row.tolist() == [*expected, drawn]


def test_threads_leave_the_generators_alone() -> None:
    random.seed(3)
    expected = [random.random() for _ in range(8)]
    random.seed(3)
    loader = loader_of(range(8), lambda i: random.random(), workers=1, pool="thread")
    assert torch.equal(torch.cat(list(loader)), torch.tensor(expected))
    assert random.random() not in expected
    loader.close()


class Keyed:
    def __call__(self, sample: int, *, source: Any, key: Key) -> tuple[int, str, int]:
        return sample, key.hex(), len(source)


def with_source(sample: int, source: Any = None) -> tuple[int, int]:
    return sample, len(source)


def test_a_transform_gets_what_it_takes() -> None:
    keys = [key(0, "sample", 0, i).hex() for i in range(3)]
    (ids, found, sizes), *_ = loader_of(range(3), Keyed())
    assert (ids.tolist(), found, sizes.tolist()) == ([0, 1, 2], keys, [3, 3, 3])
    assert [x.tolist() for x in next(iter(loader_of(range(3), with_source)))] == [[0, 1, 2], [3, 3, 3]]
    assert next(iter(loader_of(["4", "5"], int))).tolist() == [4, 5]  # has no signature
    assert next(iter(loader_of(range(3), partial(pow, 2)))).tolist() == [1, 2, 4]


def test_a_collate_of_ones_own() -> None:
    assert list(loader_of(range(6), collate=sum)) == [6, 9]
