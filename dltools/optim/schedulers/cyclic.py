"""Schedules that rise and fall."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

from annotated_types import Ge

from dltools.cfgutils.annotations import NonNegative, PositiveInt, Unit
from dltools.optim.schedulers.base import Schedule, ScheduleCfg, half_cosine


class OneCycleScheduleCfg(ScheduleCfg["OneCycleSchedule"]):
    """From ``start`` up to 1 and down to ``final``."""

    rise: Unit = 0.3
    """Share of the way that goes up."""
    start: NonNegative = 0.04
    final: NonNegative = 4e-6


class OneCycleSchedule(Schedule[OneCycleScheduleCfg]):
    r"""Half a cosine from ``start`` up to 1, reached at share ``rise`` of the way, and half a cosine down to ``final``.

    >>> schedule = OneCycleSchedule(total_steps=10)
    >>> [round(schedule(step), 6) for step in (0, 3, 10)]
    [0.04, 1.0, 4e-06]

    Smith and Topin 2018, arXiv:1708.07120; Smith 2018, arXiv:1803.09820.
    """

    def at(self, step: float) -> float:
        cfg, share = self.cfg, self.progress(step)
        if share < cfg.rise:
            return half_cosine(cfg.start, 1.0, share / cfg.rise)
        return half_cosine(1.0, cfg.final, (share - cfg.rise) / (1.0 - cfg.rise) if cfg.rise < 1.0 else 0.0)


class CosineRestartsScheduleCfg(ScheduleCfg["CosineRestartsSchedule"]):
    """From 1 to ``final`` again and again."""

    first_steps: PositiveInt
    """Updates of the first cycle, which begins after the warm-up."""
    mult: Annotated[float, Ge(1)] = 1.0
    """How much longer each cycle is than the one before."""
    final: NonNegative = 0.0
    """Where a cycle ends."""


class CosineRestartsSchedule(Schedule[CosineRestartsScheduleCfg]):
    """Half a cosine from 1 to ``final`` per cycle; the step at which a cycle ends is the first of the next.

    >>> schedule = CosineRestartsSchedule(first_steps=2, mult=2.0)
    >>> [round(schedule(step), 6) for step in range(7)]
    [1.0, 0.5, 1.0, 0.853553, 0.5, 0.146447, 1.0]

    Loshchilov and Hutter 2016, arXiv:1608.03983.
    """

    needs_total: ClassVar[bool] = False

    def at(self, step: float) -> float:
        length, mult, since = float(self.cfg.first_steps), self.cfg.mult, step - self.cfg.warmup_steps
        if mult == 1.0:
            since = math.fmod(since, length)
        else:
            cycle = int(math.log1p(since * (mult - 1.0) / length) / math.log(mult) + 1e-9)
            since -= length * (mult**cycle - 1.0) / (mult - 1.0)
            length *= mult**cycle
        return half_cosine(1.0, self.cfg.final, max(0.0, since / length))


class CyclicScheduleCfg(ScheduleCfg["CyclicSchedule"]):
    """Up and down in straight lines, again and again."""

    period_steps: PositiveInt
    """Updates of one way up and down; the first begins after the warm-up."""
    low: NonNegative = 0.1
    """Where it begins and ends."""


class CyclicSchedule(Schedule[CyclicScheduleCfg]):
    """A triangle wave from ``low`` up to 1 and back.

    >>> schedule = CyclicSchedule(period_steps=4, low=0.5)
    >>> [schedule(step) for step in range(6)]
    [0.5, 0.75, 1.0, 0.75, 0.5, 0.75]

    Smith 2015, arXiv:1506.01186.
    """

    needs_total: ClassVar[bool] = False

    def at(self, step: float) -> float:
        share = math.fmod(step - self.cfg.warmup_steps, self.cfg.period_steps) / self.cfg.period_steps
        return self.cfg.low + (1.0 - self.cfg.low) * (1.0 - abs(1.0 - 2.0 * share))
