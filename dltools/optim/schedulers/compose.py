"""Schedules made of points or of other schedules."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from math import prod
from typing import Any, ClassVar, Literal

from dltools.cfgutils.annotations import NonNegative, NonNegativeInt
from dltools.errors import ConfigError
from dltools.optim.schedulers.base import Schedule, ScheduleCfg, half_cosine


class PointsScheduleCfg(ScheduleCfg["PointsSchedule"]):
    """Through given points."""

    points: tuple[tuple[NonNegativeInt, NonNegative], ...]
    """Steps and the values there, the steps rising; before the first and after the last the value holds."""
    between: Literal["linear", "cosine", "step"] = "linear"
    """How it goes from one point to the next; step: at once, when the next is reached."""

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = [step for step, _ in self.points]
        if not steps or steps != sorted(set(steps)):
            raise ConfigError(f"points are at the steps {steps}", expected="rising steps, at least one")


class PointsSchedule(Schedule[PointsScheduleCfg]):
    """From point to point, in straight lines, half cosines or jumps.

    >>> schedule = PointsSchedule(points=((0, 1.0), (10, 0.5), (20, 0.0)))
    >>> [schedule(step) for step in (0, 5, 10, 15, 99)]
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """

    needs_total: ClassVar[bool] = False

    def at(self, step: float) -> float:
        points = self.cfg.points
        after = bisect_right(points, step, key=lambda point: point[0])
        if after in (0, len(points)) or self.cfg.between == "step":
            return points[max(after - 1, 0)][1]
        (begin, low), (end, high) = points[after - 1 : after + 1]
        share = (step - begin) / (end - begin)
        return half_cosine(low, high, share) if self.cfg.between == "cosine" else low + (high - low) * share


class SequenceScheduleCfg(ScheduleCfg["SequenceSchedule"]):
    """One schedule after the other."""

    parts: tuple[ScheduleCfg[Any], ...]
    """Each with its own ``total_steps``; the last one may do without and takes the rest of the run."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts or any(part.total_steps is None for part in self.parts[:-1]):
            given = f"parts with total_steps {[part.total_steps for part in self.parts]}"
            raise ConfigError(given, expected="at least one part, and total_steps for all but the last")


class SequenceSchedule(Schedule[SequenceScheduleCfg]):
    """A part starts at its own step 0 where the last one ended; the first after the warm-up of the whole.

    Raises ConfigError for a run that the parts do not fit into.

    >>> from dltools.optim.schedulers.curves import ConstantScheduleCfg, LinearScheduleCfg
    >>> schedule = SequenceSchedule(parts=(ConstantScheduleCfg(total_steps=5), LinearScheduleCfg()), total_steps=9)
    >>> [schedule(step) for step in (0, 5, 7, 9)]
    [1.0, 1.0, 0.5, 0.0]
    """

    needs_total: ClassVar[bool] = False

    def setup(self) -> None:
        parts = self.cfg.parts
        self.begins: list[int] = list(
            accumulate((p.total_steps or 0 for p in parts[:-1]), initial=self.cfg.warmup_steps)
        )
        rest = None if self.cfg.total_steps is None else self.cfg.total_steps - self.begins[-1]
        if rest is not None and rest < max(1, parts[-1].total_steps or 1):
            raise ConfigError(
                f"total_steps is {self.cfg.total_steps}, the last part begins at {self.begins[-1]}",
                expected="a run that all parts fit into",
            )
        self.parts: list[Schedule[Any]] = [part.build() for part in parts[:-1]] + [parts[-1].build(rest)]

    def at(self, step: float) -> float:
        now = bisect_right(self.begins, step) - 1
        return self.parts[now](step - self.begins[now])


class ProductScheduleCfg(ScheduleCfg["ProductSchedule"]):
    """Several schedules at once."""

    parts: tuple[ScheduleCfg[Any], ...]
    """Factors; one without ``total_steps`` is as long as the whole."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts:
            raise ConfigError("parts is ()", expected="at least one schedule")


class ProductSchedule(Schedule[ProductScheduleCfg]):
    """The product of the parts, each at the step of the whole.

    >>> from dltools.optim.schedulers.curves import LinearScheduleCfg, MultiStepScheduleCfg
    >>> schedule = ProductSchedule(parts=(LinearScheduleCfg(), MultiStepScheduleCfg(milestones=(5,))), total_steps=10)
    >>> [schedule(step) for step in (0, 4, 5)]
    [1.0, 0.6, 0.05]
    """

    needs_total: ClassVar[bool] = False

    def setup(self) -> None:
        self.parts: list[Schedule[Any]] = [part.build(self.cfg.total_steps) for part in self.cfg.parts]

    def at(self, step: float) -> float:
        return prod(part(step) for part in self.parts)
