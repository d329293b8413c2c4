"""Schedules: pure functions of the step, which give a factor (or a value) between a warm-up and an end that holds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar

from dltools.cfgutils.annotations import NonNegative, NonNegativeInt, PositiveInt
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="ScheduleCfg[Any]")


class ScheduleCfg(Config[T_co]):
    """The family of schedules; ``build`` takes the updates of the whole run, for one that does not say them itself."""

    total_steps: PositiveInt | None = None
    """Updates from start to end, warm-up included; None: as many as the run has."""
    warmup_steps: NonNegativeInt = 0
    """Updates of linear warm-up, from ``warmup_from`` to where the schedule begins."""
    warmup_from: NonNegative = 0.0

    def __post_init__(self) -> None:
        if self.total_steps is not None and self.warmup_steps > self.total_steps:
            raise ConfigError(
                f"warmup_steps is {self.warmup_steps}, total_steps {self.total_steps}",
                expected="warmup_steps <= total_steps",
            )

    def build(self, total_updates: int | None = None) -> T_co:
        """The schedule, with ``total_steps`` known."""
        product = self.product()
        takes_run = self.total_steps is None and total_updates is not None
        return product(self.replace(total_steps=total_updates) if takes_run else self)


class Schedule(Component[CfgT], ABC):
    """A function of the step without state: the same step gives the same number, in any order, in any process."""

    needs_total: ClassVar[bool] = True

    def setup(self) -> None:
        if self.needs_total and self.cfg.total_steps is None:
            raise ConfigError(
                f"{type(self).__name__} does not know its total_steps",
                hint="set total_steps, or give total_updates to build",
            )

    def __call__(self, step: float) -> float:
        """The value for update number ``step``, counted from 0; past ``total_steps`` the last one holds."""
        if not step >= 0:
            raise ConfigError(f"step is {step}", expected="a number >= 0")
        warmup, start = self.cfg.warmup_steps, self.cfg.warmup_from
        if step < warmup:
            return start + (self.at(warmup) - start) * step / warmup
        return self.at(step if self.cfg.total_steps is None else min(step, self.cfg.total_steps))

    @abstractmethod
    def at(self, step: float) -> float:
        """The value after the warm-up: ``warmup_steps <= step <= total_steps``."""

    def progress(self, step: float) -> float:
        """Share of the way from the end of the warm-up to the last step; 0 where there is no way."""
        warmup, total = self.cfg.warmup_steps, self.cfg.total_steps or math.inf
        return (step - warmup) / (total - warmup) if total > warmup else 0.0


def half_cosine(begin: float, end: float, share: float) -> float:
    """From ``begin`` to ``end`` along half a cosine."""
    return end + (begin - end) * (1.0 + math.cos(math.pi * share)) / 2.0
