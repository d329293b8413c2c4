"""Weights of terms that change with the step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegativeInt, PositiveInt
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError

T_co = TypeVar("T_co", covariant=True)
WeightCfgT = TypeVar("WeightCfgT", bound="WeightCfg[Any]")


class WeightCfg(Config[T_co]):
    """What gives a weight for each step; a loop moves it by ``Combine.step``."""

    def build(self) -> T_co:
        """Make the schedule."""
        return self.product()(self)


class Weight(Component[WeightCfgT], ABC):
    """A weight by step; computed on the device, where the step is."""

    @abstractmethod
    def at(self, step: Tensor) -> Tensor:
        """The weight at a step, an integer tensor from 0."""


class LinearWeightCfg(WeightCfg["LinearWeight"]):
    first: float
    """Weight up to step ``delay``."""
    last: float
    """Weight from step ``delay + steps``."""
    steps: PositiveInt
    """Of those that ``Combine.step`` counts."""
    delay: NonNegativeInt = 0


class LinearWeight(Weight[LinearWeightCfg]):
    """From ``first`` to ``last`` on a straight line.

    >>> LinearWeight(first=1.0, last=0.0, steps=4).at(torch.tensor([0, 1, 9]))
    tensor([1.0000, 0.7500, 0.0000], dtype=torch.float64)
    """

    def at(self, step: Tensor) -> Tensor:
        return torch.lerp(*_ends(self.cfg, step), _done(self.cfg, step))


class CosineWeightCfg(WeightCfg["CosineWeight"]):
    first: float
    """Weight up to step ``delay``."""
    last: float
    """Weight from step ``delay + steps``."""
    steps: PositiveInt
    """Of those that ``Combine.step`` counts."""
    delay: NonNegativeInt = 0


class CosineWeight(Weight[CosineWeightCfg]):
    """From ``first`` to ``last`` along half a cosine.

    >>> CosineWeight(first=1.0, last=0.0, steps=4).at(torch.tensor([0, 1, 2, 9]))
    tensor([1.0000, 0.8536, 0.5000, 0.0000], dtype=torch.float64)
    """

    def at(self, step: Tensor) -> Tensor:
        return torch.lerp(*_ends(self.cfg, step), (1 - torch.cos(math.pi * _done(self.cfg, step))) / 2)


class PiecewiseWeightCfg(WeightCfg["PiecewiseWeight"]):
    values: tuple[float, ...]
    """One more than there are boundaries."""
    boundaries: tuple[PositiveInt, ...]
    """Steps at which the next value begins, rising."""

    def __post_init__(self) -> None:
        if len(self.values) != len(self.boundaries) + 1 or list(self.boundaries) != sorted(set(self.boundaries)):
            raise ConfigError(
                f"{len(self.values)} values, boundaries {self.boundaries}",
                expected="rising boundaries and one value more than boundaries",
            )


class PiecewiseWeight(Weight[PiecewiseWeightCfg]):
    """A constant between each two boundaries.

    >>> PiecewiseWeight(values=(0.0, 1.0), boundaries=(10,)).at(torch.tensor([9, 10]))
    tensor([0., 1.], dtype=torch.float64)
    """

    def at(self, step: Tensor) -> Tensor:
        weight = torch.full_like(step, 1, dtype=torch.float64) * self.cfg.values[0]
        for boundary, value in zip(self.cfg.boundaries, self.cfg.values[1:], strict=True):
            weight = torch.where(step >= boundary, value, weight)
        return weight


def _ends(cfg: LinearWeightCfg | CosineWeightCfg, step: Tensor) -> tuple[Tensor, Tensor]:
    like = torch.ones_like(step, dtype=torch.float64)
    return like * cfg.first, like * cfg.last


def _done(cfg: LinearWeightCfg | CosineWeightCfg, step: Tensor) -> Tensor:
    return ((step.double() - cfg.delay) / cfg.steps).clamp(0, 1)
