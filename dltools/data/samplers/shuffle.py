"""Shuffling without a list: a keyed permutation that is evaluated where it is asked for."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from dltools.data.samplers.base import Ids, IndexSampler, SamplerCfg
from dltools.rng import key

ROUNDS = 10
GOLDEN = 0x9E3779B97F4A7C15


class ShuffleSamplerCfg(SamplerCfg["ShuffleSampler"]):
    """Every sample once per pass, in an order of its own for each pass."""


class ShuffleSampler(IndexSampler[ShuffleSamplerCfg]):
    """A random permutation per pass, in O(1) memory: position 10^9 of epoch 7 costs the same as the first.

    The permutation is a Feistel network over the cells of a table of about sqrt(n) x sqrt(n); a result past n - 1 is
    sent through again (cycle walking; Black and Rogaway 2002), which keeps it a permutation of 0 .. n - 1.

    >>> sampler = ShuffleSamplerCfg().build(5)
    >>> sorted(sampler.ids(seed=0, epoch=0, start=0, stop=5).tolist())
    [0, 1, 2, 3, 4]
    """

    def ids(self, seed: int, epoch: int, start: int, stop: int) -> Ids:
        turns, places = self.chain(epoch, start, stop)
        out = np.empty_like(places)
        for turn in range(int(turns[0]), int(turns[-1]) + 1) if len(turns) else ():
            part = turns == turn
            out[part] = permute(places[part], self.n, key(seed, "shuffle", turn).seed())
        return out


def permute(places: Ids, n: int, secret: int) -> Ids:
    """Images of places in 0 .. n - 1 under the permutation of 0 .. n - 1 that ``secret`` (63 bits) picks."""
    out = places.astype(np.uint64)
    width = isqrt(n - 1) + 1
    sides = np.array([width, -(-n // width)], dtype=np.uint64)
    keys = _mix(
        np.arange(1, ROUNDS + 1, dtype=np.uint64) * np.array([GOLDEN], np.uint64) + np.array([secret], np.uint64)
    )
    outside = np.ones(len(out), dtype=bool)
    while outside.any():
        out[outside] = _feistel(out[outside], sides, keys)
        outside = out >= n
    return out.astype(np.int64)


def _feistel(x: NDArray[np.uint64], sides: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Row and column of a cell shift each other in turn; each shift can be undone, so the whole is a permutation of the
    cells."""
    width = sides[:1]
    halves = [x % width, x // width]
    for i, round_key in enumerate(keys):
        side = i % 2
        halves[side] = (halves[side] + _mix(halves[1 - side] ^ round_key) % sides[side]) % sides[side]
    return halves[1] * width + halves[0]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit of the result depends on every bit of ``x``."""
    x = (x ^ (x >> np.uint64(30))) * np.array([0xBF58476D1CE4E5B9], np.uint64)
    x = (x ^ (x >> np.uint64(27))) * np.array([0x94D049BB133111EB], np.uint64)
    return x ^ (x >> np.uint64(31))
