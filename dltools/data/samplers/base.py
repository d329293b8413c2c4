"""Samplers: an order of the samples that is a pure function of (seed, epoch, position)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dltools.cfgutils.annotations import PositiveInt
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="SamplerCfg[Any]")
Ids: TypeAlias = NDArray[np.int64]


class SamplerCfg(Config[T_co]):
    """How an epoch draws from n samples."""

    num_samples: PositiveInt | None = None
    """Draws of an epoch; None: as many as there are samples."""

    def build(self, n: int, values: ArrayLike | None = None) -> T_co:
        """The sampler of ``n`` samples; ``values``: one per sample, for samplers that go by weight, label or length."""
        return self.product()(self, n, values)


class IndexSampler(ABC, Generic[CfgT]):
    """Which sample stands at which position of an epoch. It keeps no state, so any process can read any part of any
    epoch.

    ``num_samples`` is the number of positions of an epoch, 0 if there are no samples.
    """

    def __init__(self, cfg: CfgT, n: int, values: ArrayLike | None = None) -> None:
        if n < 0:
            raise ConfigError(f"a sampler got n = {n}", expected="the number of samples, >= 0")
        if values is not None and len(np.asarray(values)) != n:
            raise ConfigError(f"{len(np.asarray(values))} values for {n} samples", expected="one value per sample")
        self.cfg = cfg
        self.n = n
        self.num_samples: int = (cfg.num_samples or n) if n else 0

    @abstractmethod
    def ids(self, seed: int, epoch: int, start: int, stop: int) -> Ids:
        """Ids of the samples at positions ``start`` to ``stop - 1`` of an epoch: int64, O(stop - start) time and
        memory."""

    def chain(self, epoch: int, start: int, stop: int) -> tuple[Ids, Ids]:
        """Positions of an epoch on the endless chain of passes over all samples: (number of the pass, place in it).

        Epoch e is window e of that chain, so with ``num_samples < n`` successive epochs still visit everything once
        before anything twice.
        """
        first = epoch * self.num_samples
        return np.divmod(np.arange(first + start, first + stop, dtype=np.int64), max(self.n, 1))

    def __repr__(self) -> str:
        return f"build({self.cfg!r}, {self.n})"
