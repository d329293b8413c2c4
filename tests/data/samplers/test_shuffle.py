from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from dltools.data import ShuffleSamplerCfg
from dltools.data.samplers.shuffle import permute


@given(st.integers(1, 2000), st.integers(0, 2**63 - 1))
def test_every_sample_once(n: int, secret: int) -> None:
    assert sorted(permute(np.arange(n), n, secret).tolist()) == list(range(n))


def test_every_small_number_of_samples() -> None:
    for n in range(1, 130):
        assert sorted(ShuffleSamplerCfg().build(n).ids(seed=n, epoch=2, start=0, stop=n).tolist()) == list(range(n))


@given(st.integers(1, 300), st.integers(0, 5), st.data())
def test_any_part_is_that_part_of_the_whole(n: int, epoch: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    sampler = ShuffleSamplerCfg().build(n)
    whole, part = sampler.ids(1, epoch, 0, n), sampler.ids(1, epoch, start, stop)
    assert part.dtype == np.int64
    assert part.tolist() == whole[start:stop].tolist()


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 9))
def test_epochs_are_windows_of_a_chain_of_permutations(n: int, num_samples: int, seed: int) -> None:
    sampler = ShuffleSamplerCfg(num_samples=num_samples).build(n)
    epochs = [sampler.ids(seed, epoch, 0, num_samples).tolist() for epoch in range(2 + 3 * n // num_samples)]
    chain = list(itertools.chain(*epochs))
    for first in range(0, len(chain) - n + 1, n):
        assert sorted(chain[first : first + n]) == list(range(n))
    assert len(set(chain[:n])) == n


def test_all_orders_are_equally_likely() -> None:
    sampler = ShuffleSamplerCfg().build(4)
    counts = Counter(tuple(sampler.ids(0, epoch, 0, 4).tolist()) for epoch in range(2400))
    assert len(counts) == 24
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < chi2.ppf(0.999, 23)


def test_every_sample_is_equally_likely_at_every_position() -> None:
    n, epochs = 97, 1500
    sampler = ShuffleSamplerCfg().build(n)
    orders = np.stack([sampler.ids(3, epoch, 0, n) for epoch in range(epochs)])
    for position in (0, 1, 48, 96):
        counts = np.bincount(orders[:, position], minlength=n)
        assert ((counts - epochs / n) ** 2 / (epochs / n)).sum() < chi2.ppf(0.9999, n - 1)
    ranks = np.array([np.corrcoef(orders[i], orders[i + 1])[0, 1] for i in range(epochs - 1)])
    assert abs(ranks.mean()) < 4 / np.sqrt((n - 1) * (epochs - 1))  # one epoch says nothing of the next
    steps = np.array([np.corrcoef(order[:-1], order[1:])[0, 1] for order in orders])
    assert abs(steps.mean() + 1 / n) < 5 / np.sqrt(n * epochs)  # nor a sample of its neighbour


def test_seeds_and_passes_have_orders_of_their_own() -> None:
    sampler = ShuffleSamplerCfg().build(50)
    orders = {tuple(sampler.ids(seed, epoch, 0, 50).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_far_positions_cost_no_more_than_the_first() -> None:
    n = 10**15
    ids = ShuffleSamplerCfg().build(n).ids(seed=0, epoch=3, start=n - 1000, stop=n)
    assert len(set(ids.tolist())) == 1000
    assert ids.min() >= 0
    assert ids.max() < n
    assert ids.max() > n / 2


def test_the_order_is_the_same_in_every_version() -> None:
    """Written down, so that a change, which would alter every training, is seen."""
    assert ShuffleSamplerCfg().build(10).ids(seed=0, epoch=0, start=0, stop=10).tolist() == [
        7,
        2,
        1,
        8,
        4,
        0,
        3,
        5,
        6,
        9,
    ]
