"""Schedules that go one way: constant, linear, polynomial, exponential, in steps, cosine."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import ClassVar, Literal

from dltools.cfgutils.annotations import NonNegative, Positive, PositiveInt
from dltools.errors import ConfigError
from dltools.optim.schedulers.base import Schedule, ScheduleCfg, half_cosine


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
    r"""From 1 to ``final``, :math:`1 - (1 - f) u` with :math:`u = (s - w) / (T - w)` at step s of T, w of them warm-up.

    >>> schedule = LinearSchedule(total_steps=10, final=0.5)
    >>> schedule(0), schedule(5), schedule(10), schedule(99)
    (1.0, 0.75, 0.5, 0.5)
    """

    def at(self, step: float) -> float:
        return 1.0 - (1.0 - self.cfg.final) * self.progress(step)


class CosineScheduleCfg(ScheduleCfg["CosineSchedule"]):
    """From 1 to ``final`` along half a cosine."""

    final: NonNegative = 0.0
    """Where it ends."""


class CosineSchedule(Schedule[CosineScheduleCfg]):
    r"""From 1 to ``final`` along half a cosine.

    :math:`f + (1 - f) (1 + \cos \pi u) / 2` with :math:`u = (s - w) / (T - w)` at step s of T, w of them warm-up.

    >>> schedule = CosineSchedule(total_steps=20, warmup_steps=5, warmup_from=0.1)
    >>> [round(schedule(step), 6) for step in (0, 5, 12, 20)]
    [0.1, 1.0, 0.552264, 0.0]

    Loshchilov and Hutter 2016, arXiv:1608.03983.
    """

    def at(self, step: float) -> float:
        return half_cosine(1.0, self.cfg.final, self.progress(step))


class PolynomialScheduleCfg(ScheduleCfg["PolynomialSchedule"]):
    """From 1 to ``final`` along a power of what is left of the way."""

    power: Positive = 1.0
    """1 is a straight line; segmentation often takes 0.9."""
    final: NonNegative = 0.0
    """Where it ends."""


class PolynomialSchedule(Schedule[PolynomialScheduleCfg]):
    r"""From 1 to ``final``, :math:`f + (1 - f) (1 - u)^p`.

    :math:`u = (s - w) / (T - w)` at step s of T, w of them warm-up.

    >>> PolynomialSchedule(total_steps=10, power=2.0)(5)
    0.25
    """

    def at(self, step: float) -> float:
        left = math.pow(1.0 - self.progress(step), self.cfg.power)
        return self.cfg.final + (1.0 - self.cfg.final) * left


class ExponentialScheduleCfg(ScheduleCfg["ExponentialSchedule"]):
    """From 1 to ``final`` by the same factor in each update."""

    final: Positive = 0.01
    """Where it ends."""


class ExponentialSchedule(Schedule[ExponentialScheduleCfg]):
    r"""From 1 to ``final``, :math:`f^u` with :math:`u = (s - w) / (T - w)` at step s of T, w of them warm-up.

    >>> ExponentialSchedule(total_steps=10, final=0.25)(5)
    0.5
    """

    def at(self, step: float) -> float:
        return math.pow(self.cfg.final, self.progress(step))


class MultiStepScheduleCfg(ScheduleCfg["MultiStepSchedule"]):
    """Falls by a factor at each milestone."""

    milestones: tuple[PositiveInt, ...]
    """Updates at which it falls, rising; counted from the start of the run, warm-up included."""
    gamma: NonNegative = 0.1
    """The factor."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.milestones or list(self.milestones) != sorted(set(self.milestones)):
            raise ConfigError(f"milestones is {self.milestones}", expected="rising steps, at least one")


class MultiStepSchedule(Schedule[MultiStepScheduleCfg]):
    r"""A factor for each milestone that is reached, :math:`\gamma^n`.

    >>> schedule = MultiStepSchedule(milestones=(3, 6), gamma=0.5)
    >>> [schedule(step) for step in (0, 2, 3, 6, 99)]
    [1.0, 1.0, 0.5, 0.25, 0.25]
    """

    needs_total: ClassVar[bool] = False

    def at(self, step: float) -> float:
        return math.pow(self.cfg.gamma, bisect_right(self.cfg.milestones, step))


class InverseSqrtScheduleCfg(ScheduleCfg["InverseSqrtSchedule"]):
    """Falls with the root of the step, after a warm-up of at least one update."""

    warmup_steps: PositiveInt = 1
    """Updates of linear warm-up; the longer it is, the slower the fall."""


class InverseSqrtSchedule(Schedule[InverseSqrtScheduleCfg]):
    r"""After the warm-up :math:`\sqrt{w / s}` at step s, w of them warm-up.

    >>> schedule = InverseSqrtSchedule(warmup_steps=4)
    >>> [schedule(step) for step in (0, 2, 4, 16)]
    [0.0, 0.5, 1.0, 0.5]

    Vaswani et al. 2017, arXiv:1706.03762.
    """

    needs_total: ClassVar[bool] = False

    def at(self, step: float) -> float:
        return math.sqrt(self.cfg.warmup_steps / step)


class WSDScheduleCfg(ScheduleCfg["WSDSchedule"]):
    """Warm-up, a long constant, and a decay at the end."""

    decay_steps: PositiveInt
    """Updates of the decay, the last of the run."""
    shape: Literal["linear", "sqrt", "cosine"] = "linear"
    """How it falls; sqrt falls fastest at first."""
    final: NonNegative = 0.0
    """Where it ends."""


class WSDSchedule(Schedule[WSDScheduleCfg]):
    r"""1, then over the share v of the decay :math:`1 - (1 - f) g`.

    g is :math:`v`, :math:`\sqrt v` or :math:`(1 - \cos \pi v) / 2`. Raises ConfigError for a run that warm-up and decay
    do not fit into.

    >>> schedule = WSDSchedule(total_steps=10, decay_steps=4, shape="sqrt")
    >>> [schedule(step) for step in (0, 6, 7, 10)]
    [1.0, 1.0, 0.5, 0.0]

    Haegele et al. 2024, arXiv:2405.18392.
    """

    def setup(self) -> None:
        super().setup()
        cfg, total = self.cfg, self.cfg.total_steps or 0
        if cfg.warmup_steps + cfg.decay_steps > total:
            given = f"warmup_steps is {cfg.warmup_steps}, decay_steps {cfg.decay_steps}, total_steps {total}"
            raise ConfigError(given, expected="warmup_steps + decay_steps <= total_steps")

    def at(self, step: float) -> float:
        cfg = self.cfg
        share = max(0.0, 1.0 - ((cfg.total_steps or 0) - step) / cfg.decay_steps)
        if cfg.shape == "cosine":
            return half_cosine(1.0, cfg.final, share)
        return 1.0 - (1.0 - cfg.final) * (share if cfg.shape == "linear" else math.sqrt(share))
