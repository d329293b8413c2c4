"""Schedules that rise and fall."""

from __future__ import annotations

import math

from dltools.cfgutils.annotations import NonNegative, Unit
from dltools.optim.schedulers.base import Schedule, ScheduleCfg


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
            return _half_cosine(cfg.start, 1.0, share / cfg.rise)
        return _half_cosine(1.0, cfg.final, (share - cfg.rise) / (1.0 - cfg.rise) if cfg.rise < 1.0 else 0.0)


def _half_cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * (1.0 + math.cos(math.pi * share)) / 2.0
