"""What collect() gives: flat numbers that any writer takes, and what stands behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dltools.errors import ConfigError, did_you_mean

Array = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Independent samples whose sum has a value."""

    counts: Array
    """(samples, ...)."""
    value: Callable[[Array], Array]
    """From sums (resamples, ...) to values (resamples,)."""


Resample = tuple[float, float] | Array | Rows


class Reading(NamedTuple):
    """One value as a metric, meter or loss reads it off its merged states."""

    value: float
    n: float = 0
    """What was counted: samples, pixels, pairs."""
    higher: bool | None = None
    """Whether more is better; None where neither."""
    per_class: Mapping[str, float] = {}
    data: Mapping[str, Array] = {}
    """Arrays for pictures: a confusion matrix, a curve."""
    bounds: tuple[float, float] | None = None
    """Certified ends where the value is approximate."""
    invalid: int = 0
    """What could not be counted: labels out of range, non-finite values."""
    resample: Resample | None = None
    """For ``ci``: successes and trials, or a numerator and a denominator per row, or rows and what their sum says."""


class Interval(NamedTuple):
    """A confidence interval and how it was found."""

    low: float
    high: float
    method: Literal["wilson", "bootstrap"]


PER_IMAGE = "metrics of a confusion matrix keep images with per_image=True"


class Report(Mapping[str, float]):
    """Flat scalars, ``report["val/iou"]``, with counts, directions, per-class values and arrays behind them.

    >>> report = Report({"val/acc": 0.8}, n={"val/acc": 10}, resample={"val/acc": (8, 10)})
    >>> low, high, method = report.ci("val/acc")
    >>> f"{low:.4f} {high:.4f} {method}"
    '0.4902 0.9433 wilson'
    """

    def __init__(
        self,
        values: Mapping[str, float],
        *,
        n: Mapping[str, float] | None = None,
        invalid: Mapping[str, int] | None = None,
        higher: Mapping[str, bool | None] | None = None,
        per_class: Mapping[str, Mapping[str, float]] | None = None,
        data: Mapping[str, Mapping[str, Array]] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        resample: Mapping[str, Resample] | None = None,
    ) -> None:
        self._values = dict(values)
        self.n: dict[str, float] = dict(n or {})
        self.invalid: dict[str, int] = dict(invalid or {})
        self.higher: dict[str, bool | None] = dict(higher or {})
        self._per_class, self._data = dict(per_class or {}), dict(data or {})
        self._bounds, self._resample = dict(bounds or {}), dict(resample or {})

    @classmethod
    def of(cls, readings: Mapping[str, Reading]) -> Report:
        """The report of many readings."""
        return cls(
            {name: one.value for name, one in readings.items()},
            n={name: one.n for name, one in readings.items()},
            invalid={name: one.invalid for name, one in readings.items() if one.invalid},
            higher={name: one.higher for name, one in readings.items()},
            per_class={name: one.per_class for name, one in readings.items() if one.per_class},
            data={name: one.data for name, one in readings.items() if one.data},
            bounds={name: one.bounds for name, one in readings.items() if one.bounds},
            resample={name: one.resample for name, one in readings.items() if one.resample is not None},
        )

    def __getitem__(self, name: str) -> float:
        return self._values[self._known(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Report({', '.join(f'{name}={value:.6g}' for name, value in self.items())})"

    def per_class(self, name: str) -> dict[str, float]:
        """The value of each class; empty where there is none."""
        return dict(self._per_class.get(self._known(name), {}))

    def data(self, name: str) -> dict[str, Array]:
        """The arrays behind a value."""
        return dict(self._data.get(self._known(name), {}))

    def bounds(self, name: str) -> tuple[float, float]:
        """Certified ends; both the value itself where it is exact."""
        value = self[name]
        return self._bounds.get(name, (value, value))

    def ci(self, name: str, level: float = 0.95, *, resamples: int = 1000, seed: int = 0) -> Interval:
        """Where the value would lie for other such samples: Wilson for a share, Poisson bootstrap for rows.

        Rows are put in order before weights are drawn for them, so that it is the same whatever the split over ranks.
        """
        counted = self._resample.get(self._known(name))
        if counted is None:
            raise ConfigError(f"{name} has no independent samples to draw from", hint=PER_IMAGE)
        if isinstance(counted, tuple):
            return _wilson(*counted, level)
        rows = counted if isinstance(counted, Rows) else Rows(np.asarray(counted), _quotient)
        return _bootstrap(rows, level, resamples, seed)

    def _known(self, name: str) -> str:
        if name not in self._values:
            raise KeyError(f"no value {name!r}; {did_you_mean(name, self._values)}")
        return name


def _wilson(successes: float, trials: float, level: float) -> Interval:
    """Score interval of a share (Wilson 1927)."""
    if not trials:
        return Interval(math.nan, math.nan, "wilson")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, spread = successes / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return Interval(max(0.0, middle - half), min(1.0, middle + half), "wilson")


def _quotient(sums: Array) -> Array:
    return sums[:, 0] / np.where(sums[:, 1] == 0, np.nan, sums[:, 1])


def _bootstrap(rows: Rows, level: float, resamples: int, seed: int) -> Interval:
    """Percentiles of the value when each row counts a Poisson(1) number of times."""
    counts = rows.counts.astype(np.float64)
    if not len(counts):
        return Interval(math.nan, math.nan, "bootstrap")
    counts = counts[np.lexsort(counts.reshape(len(counts), -1).T)]
    weights = np.random.default_rng(seed).poisson(1.0, (resamples, len(counts))).astype(np.float64)
    sums = (weights @ counts.reshape(len(counts), -1)).reshape(resamples, *counts.shape[1:])
    values = rows.value(sums)
    if np.isnan(values).all():
        return Interval(math.nan, math.nan, "bootstrap")
    tail = (1 - level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high), "bootstrap")
