"""Schedules that go one way: constant, linear, cosine."""

from __future__ import annotations

import math
from typing import ClassVar

from dltools.cfgutils.annotations import NonNegative
from dltools.optim.schedulers.base import Schedule, ScheduleCfg


class ConstantScheduleCfg(ScheduleCfg["ConstantSchedule"]):
    """1 after the warm-up."""


class ConstantSchedule(Schedule[ConstantScheduleCfg]):
    """1 after the warm-up.

    >>> ConstantSchedule(warmup_steps=4)(1)
    0.25
    """

    needs_total: ClassVar[bool] = False

    def at(self, step: float) -> float:
        return 1.0


class LinearScheduleCfg(ScheduleCfg["LinearSchedule"]):
    """From 1 to ``final`` in a straight line."""

    final: NonNegative = 0.0
    """Where it ends."""


class LinearSchedule(Schedule[LinearScheduleCfg]):
    r"""From 1 to ``final``, :math:`1 - (1 - f) u` with :math:`u = (s - w) / (T - w)`.

    >>> LinearSchedule(total_steps=10, final=0.5)(5)
    0.75
    """

    def at(self, step: float) -> float:
        return 1.0 - (1.0 - self.cfg.final) * self.progress(step)


class CosineScheduleCfg(ScheduleCfg["CosineSchedule"]):
    """From 1 to ``final`` along half a cosine."""

    final: NonNegative = 0.0
    """Where it ends."""


class CosineSchedule(Schedule[CosineScheduleCfg]):
    r"""From 1 to ``final`` along half a cosine.

    :math:`f + (1 - f) (1 + \cos \pi u) / 2` with :math:`u = (s - w) / (T - w)`.

    >>> schedule = CosineSchedule(total_steps=20, warmup_steps=5, warmup_from=0.1)
    >>> [round(schedule(step), 6) for step in (0, 5, 12, 20)]
    [0.1, 1.0, 0.552264, 0.0]

    Loshchilov and Hutter 2016, arXiv:1608.03983.
    """

    def at(self, step: float) -> float:
        final = self.cfg.final
        return final + (1.0 - final) * (1.0 + math.cos(math.pi * self.progress(step))) / 2.0
