"""Any number of workers, and any stop and restart, give the same batches to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from dltools.data import Loader, SamplerCfg, SequentialSamplerCfg, ShuffleSamplerCfg
from tests.data.sources import Noisy, shifted, take

START = {"seed": 5, "epoch": 0, "consumed": 0}


def numbers(batch: dict[str, Any]) -> list[Any]:
    return [batch["id"].tolist(), batch["noise"].tolist(), batch["shift"].tolist()]


@pytest.fixture(
    scope="module", params=[ShuffleSamplerCfg(), SequentialSamplerCfg(), ShuffleSamplerCfg(num_samples=9)], ids=repr
)
def loaders(request: pytest.FixtureRequest) -> Iterator[dict[int, Loader]]:
    """By number of workers."""
    sampler: SamplerCfg[Any] = request.param
    made = {w: Loader(Noisy(23), shifted, batch_size=4, sampler=sampler, seed=5, workers=w) for w in (0, 2, 3)}
    yield made
    for loader in made.values():
        loader.close()


def test_every_later_batch_is_the_same(loaders: dict[int, Loader]) -> None:
    total = len(loaders[0]) + 2
    loaders[0].load_state_dict(START)
    whole = [numbers(batch) for batch in take(loaders[0], total)]
    noise = list(itertools.chain(*(noise for _, noise, _ in whole)))
    assert len({number for row in noise for number in row}) == 3 * len(noise)  # every draw is another one
    for before, after in [(0, 2), (2, 3), (3, 0)]:
        for stop in range(1, total):
            loaders[before].load_state_dict(START)
            assert [numbers(batch) for batch in take(loaders[before], stop)] == whole[:stop]
            loaders[after].load_state_dict(loaders[before].state_dict())
            assert [numbers(batch) for batch in take(loaders[after], total - stop)] == whole[stop:]


def test_augmentations_are_those_of_the_position_and_other_ones_in_every_epoch() -> None:
    found = {}
    for workers, pool in [(0, "process"), (2, "process"), (4, "process"), (2, "thread")]:
        loader = Loader([{}] * 64, shifted, batch_size=16, workers=workers, pool=pool)  # type: ignore[arg-type]
        found[workers, pool] = np.stack(
            [np.concatenate([batch["shift"].numpy() for batch in loader]) for _ in range(3)]
        )
        loader.close()
    epochs = found.pop((0, "process"))
    assert all(np.array_equal(epochs, other) for other in found.values())
    for one, other in itertools.combinations(epochs, 2):
        assert (one == other).mean() <= 0.2
    assert epochs.min() >= -15
    assert epochs.max() <= 15
