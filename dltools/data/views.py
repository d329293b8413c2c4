"""Parts of a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dltools.data.fetch import Source
from dltools.errors import ConfigError
from dltools.rng import key


class SubsetView:
    """Some samples of a source, in the order of ``ids``; nothing is copied.

    >>> view = SubsetView("abcd", [3, 0])
    >>> len(view), view[0], view[1]
    (2, 'd', 'a')

    Raises ConfigError for an id that the source does not have, and for what are no ids.
    """

    def __init__(self, source: Source, ids: ArrayLike) -> None:
        self.source = source
        given = np.asarray(ids)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            raise ConfigError(
                f"ids of shape {given.shape}, {given.dtype}",
                expected="(n,) of integers",
                hint="np.flatnonzero(mask) for a mask",
            )
        self.ids: NDArray[np.int64] = given.astype(np.int64)
        wrong = self.ids[(self.ids < 0) | (self.ids >= len(source))]
        if len(wrong):
            raise ConfigError(f"id {wrong[0]} of a source of {len(source)}", expected=f"ids 0 to {len(source) - 1}")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> Any:
        return self.source[int(self.ids[i])]


def split(
    n: int, fractions: Sequence[float], *, seed: int, labels: ArrayLike | None = None, groups: ArrayLike | None = None
) -> list[NDArray[np.int64]]:
    """Disjoint parts of 0 .. n - 1 in random order, of about ``fraction * n`` samples each; fractions that sum to 1
    leave none out.

    ``labels``: stratified, every class is divided in these proportions, up to one sample or two of rounding; the parts
    keep their sizes. ``groups``: samples of one group stay together, so sizes hold only as well as the groups allow.

    >>> train, test = split(10, [0.8, 0.2], seed=0, labels=[0, 1] * 5)
    >>> len(train), sorted(i % 2 for i in test.tolist())
    (8, [0, 1])

    Raises ConfigError for negative numbers, a sum above 1, ``labels`` or ``groups`` of another length, or both of
    them.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if n < 0 or shares.ndim != 1 or not (shares >= 0).all() or shares.sum() > 1 + 1e-9:
        raise ConfigError(f"n {n}, fractions {fractions}", expected="n >= 0, numbers >= 0 with a sum of at most 1")
    if labels is not None and groups is not None:
        raise ConfigError("split got labels and groups", hint="give one of them")
    bounds = np.round(np.cumsum(shares) * n).astype(np.int64)
    rng = key(seed, "split").numpy()
    order = rng.permutation(n)
    if groups is not None:
        _, group = np.unique(_per_sample(groups, n), return_inverse=True)
        sizes = np.bincount(group)
        turn = rng.permutation(len(sizes))
        middles = np.empty(len(sizes))
        middles[turn] = np.cumsum(sizes[turn]) - sizes[turn] / 2
        part = np.searchsorted(bounds, middles[group[order]], side="right")
        return [order[part == i] for i in range(len(shares))]
    if labels is not None:
        order = order[_interleaved(_per_sample(labels, n)[order], rng)]
    return np.split(order, bounds)[: len(shares)]


def _interleaved(labels: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """An order in which every class is spread evenly from the first place to the last."""
    _, classes = np.unique(labels, return_inverse=True)
    counts = np.bincount(classes)
    by_class = np.argsort(classes, kind="stable")
    within = np.empty(len(classes))
    within[by_class] = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = (within + rng.random(len(counts))[classes]) / counts[classes]
    return np.argsort(places, kind="stable")


def _per_sample(values: ArrayLike, n: int) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (n,):
        raise ConfigError(f"labels or groups of shape {array.shape}", expected=f"one per sample, ({n},)")
    return array
