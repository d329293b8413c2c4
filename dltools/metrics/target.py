"""What "better" means: one target for checkpoints, early stopping and searches."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from dltools.cfgutils.annotations import NonNegative
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError, did_you_mean
from dltools.meters.report import Report
from dltools.metrics.expression import Comparison, Expression, comparison

TIE_BREAK = re.compile(r"\s*(min|max)\s+(.+)")


class TargetCfg(Config["Target"]):
    """A value to improve, and what must hold or decides where it is equal."""

    expr: str = "val/loss"
    """Names, numbers, ``+ - * /``, ``min max hmean abs``; names are joined by ``/``, division stands between spaces."""
    mode: Literal["auto", "min", "max"] = "auto"
    """auto: as the report says of the names, where they agree and nothing is subtracted or divided by."""
    min_delta: NonNegative = 0.0
    """By how much a value must be better; less counts as equal."""
    tie_break: tuple[str, ...] = ()
    """What decides between equal values, in this order: ``"min val/loss"``."""
    subject_to: tuple[str, ...] = ()
    """What must hold first: ``"val/recall >= 0.9"``."""

    def __post_init__(self) -> None:
        if self.mode == "auto" and Expression(self.expr).turns:
            raise ConfigError(
                f"expr {self.expr!r} subtracts or divides by a name, so its direction is unknown",
                expected="a mode",
                hint="mode='min' or mode='max'",
            )
        Target.parse(self)

    def build(self) -> Target:
        """Make the target."""
        return self.product()(self)


class Verdict(NamedTuple):
    """What a target says of a report."""

    is_best: bool
    value: float
    feasible: bool
    """Whether all constraints hold."""


class Rank(NamedTuple):
    """Where a report stands: less is better, in this order."""

    shortfall: float
    value: float
    ties: tuple[float, ...]

    @property
    def is_known(self) -> bool:
        """Whether nothing in it is missing, NaN or infinite."""
        return all(map(math.isfinite, (self.shortfall, self.value, *self.ties)))


class Parts(NamedTuple):
    """The parsed texts of a config."""

    value: Expression
    ties: tuple[tuple[int, Expression], ...]
    constraints: tuple[Comparison, ...]


Judged = Mapping[str, float] | float
"""A report, or a bare number that stands for the value of the expression."""


class Target(Component[TargetCfg]):
    """Decides which of two reports is better, and keeps the best one seen.

    Feasible reports come first, else those that miss their constraints by the least sum; then the value, beyond
    ``min_delta``; then the tie-breaks. A report in which a name is missing or not finite is never best.

    >>> target = Target(expr="val/acc", mode="max", tie_break=("min val/loss",))
    >>> target.update({"val/acc": 0.9, "val/loss": 0.4})
    Verdict(is_best=True, value=0.9, feasible=True)
    >>> target.update({"val/acc": 0.9, "val/loss": 0.3}).is_best
    True
    >>> target.better({"val/acc": 0.8, "val/loss": 0.1}, target.best)
    False
    """

    def setup(self) -> None:
        self._parts = self.parse(self.cfg)
        self.best: Report | None = None

    @staticmethod
    def parse(cfg: TargetCfg) -> Parts:
        """Read the texts of a config; a ConfigError says what is wrong."""
        return Parts(
            Expression(cfg.expr), tuple(map(_tie_break, cfg.tie_break)), tuple(map(comparison, cfg.subject_to))
        )

    def value(self, report: Judged) -> float:
        """The value of the expression; NaN where a name is missing."""
        if isinstance(report, (int, float)):
            return float(report)
        return float(report[self.cfg.expr]) if self.cfg.expr in report else self._parts.value(report)

    def missing(self, report: Judged) -> str:
        """The first name that a report lacks, with the nearest that it has; empty if it lacks none."""
        if isinstance(report, (int, float)) or self.cfg.expr in report:
            return ""
        lacking = (name for name in self._parts.value.names if name not in report)
        return next((f"no {name!r} in the report; {did_you_mean(name, report)}" for name in lacking), "")

    def better(self, a: Judged, b: Judged | None) -> bool:
        """Whether ``a`` is better than ``b``, or good for a start if there is no ``b``. Changes nothing."""
        sign = (self._sign(b) if b is not None else 0) or self.direction(a)
        new, old = self._rank(a, sign), self._rank(b, sign) if b is not None else None
        if not new.is_known:
            return False
        if old is None or not old.is_known:
            return True
        if new.shortfall != old.shortfall:
            return new.shortfall < old.shortfall
        if abs(new.value - old.value) > self.cfg.min_delta:
            return new.value < old.value
        return new.ties < old.ties

    def direction(self, report: Judged) -> int:
        """1 if less is better, -1 if more is; a ConfigError if neither config nor report says so."""
        return self._sign(report) or self._refuse_direction(report)

    def keep(self, report: Judged) -> None:
        """Take a report for the best."""
        values = {self.cfg.expr: report} if isinstance(report, (int, float)) else dict(report)
        self.best = Report(values, higher=getattr(report, "higher", {}))

    def update(self, report: Judged) -> Verdict:
        """Judge a report, and keep it if it is the best so far."""
        is_best = self.better(report, self.best)
        if is_best:
            self.keep(report)
        return Verdict(is_best, self.value(report), self._rank(report, 1).shortfall == 0)

    def state_dict(self) -> dict[str, Any]:
        """The best report: its values and directions."""
        if self.best is None:
            return {"values": {}, "higher": {}}
        return {"values": dict(self.best), "higher": dict(self.best.higher)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved best."""
        self.best = Report(state["values"], higher=state["higher"]) if state["values"] else None

    def _rank(self, report: Judged, sign: int) -> Rank:
        values: Mapping[str, float] = {} if isinstance(report, (int, float)) else report
        shortfall = sum(constraint.shortfall(values) for constraint in self._parts.constraints)
        return Rank(shortfall, sign * self.value(report), tuple(turn * tie(values) for turn, tie in self._parts.ties))

    def _sign(self, report: Judged) -> int:
        """1 if less is better, -1 if more is, 0 if the report does not say so."""
        if self.cfg.mode != "auto":
            return 1 if self.cfg.mode == "min" else -1
        higher = getattr(report, "higher", {})
        said = {higher.get(name) for name in self._parts.value.names}
        return -1 if said == {True} else 1 if said == {False} else 0

    def _refuse_direction(self, report: Judged) -> int:
        higher = getattr(report, "higher", {})
        said = ", ".join(f"{name}: {_WORDS[higher.get(name)]}" for name in self._parts.value.names)
        raise ConfigError(
            f"mode 'auto' of expr {self.cfg.expr!r} cannot tell a direction ({said})",
            expected="a report that says of every name, and alike, whether more is better",
            hint="mode='min' or mode='max'",
        )


_WORDS = {True: "more is better", False: "less is better", None: "unknown"}


def _tie_break(text: str) -> tuple[int, Expression]:
    found = TIE_BREAK.fullmatch(text)
    if found is None:
        raise ConfigError(f"tie_break {text!r}", expected="min or max and a name, as in 'min val/loss'")
    return (1 if found[1] == "min" else -1), Expression(found[2])
