"""Early stopping: when to stop, by what a target says of one report after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
import torch.distributed as c10d

from dltools import dist
from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.metrics.target import Judged, Target, TargetCfg

COUNTED = ("num_bad", "num_updates", "seconds")


class EarlyStopperCfg(Config["EarlyStopper"]):
    """Reasons to stop."""

    target: TargetCfg = TargetCfg()
    """What is better; its ``min_delta`` is how much better counts."""
    patience: PositiveInt = 10
    """Reports in a row that bring nothing better; with the last of them it stops."""
    relative: bool = False
    """Whether ``min_delta`` is a share of the best value."""
    diverge_at: float | None = None
    """A value as bad as this stops at once."""
    on_nan: Literal["stop", "count"] = "stop"
    """What a value that is no number does: stop, or count as one that is not better."""
    max_updates: PositiveInt | None = None
    """Reports, or updates where their number is given."""
    max_seconds: Positive | None = None
    """Since the stopper was built, times before a resume included."""

    def build(self) -> EarlyStopper:
        """Make the stopper."""
        return EarlyStopper(self)


class Decision(NamedTuple):
    """Whether to stop, whether the report was the best so far, and why to stop; true where it says stop."""

    stop: bool
    best: bool
    reason: str

    def __bool__(self) -> bool:
        return self.stop


class EarlyStopper(Component[EarlyStopperCfg]):
    """Says of each report whether training should stop.

    A report is a mapping as ``collect`` makes it, or the bare value of the target. With several processes all call it
    and rank 0 decides.

    >>> stopper = EarlyStopper(target=TargetCfg(mode="min"), patience=2)
    >>> [bool(stopper(loss)) for loss in (1.0, 0.9, 0.95, 0.91)]
    [False, False, False, True]
    >>> stopper(0.93).reason
    'nothing better than 0.9 in 3 reports'

    Raises ConfigError where the direction of the target is not known.
    """

    def setup(self) -> None:
        self.target: Target = self.cfg.target.build()
        self.num_bad: int = 0
        """Reports in a row that were not better."""
        self.num_updates: int = 0
        self.seconds: float = 0.0
        """From the start to the last report."""
        self._began = time.monotonic()

    def __call__(self, report: Judged, num_updates: int | None = None) -> Decision:
        """Judge a report, made after ``num_updates`` updates in all."""
        self.num_updates = self.num_updates + 1 if num_updates is None else num_updates
        self.seconds = time.monotonic() - self._began
        reasons = self._reasons(report)
        told = [int(self._is_better(report)), *(int(holds) for holds in reasons.values())]
        if dist.world() > 1:
            flags = torch.tensor(told, device=dist.device())
            c10d.broadcast(flags, src=0)
            told = flags.tolist()
        best, *holds = told
        self.num_bad = 0 if best else self.num_bad + 1
        if best:
            self.target.keep(report)
        reason = next((text for text, yes in zip(reasons, holds, strict=True) if yes), "")
        if not reason and self.num_bad >= self.cfg.patience:
            nothing = f"nothing better than {self._best():g} in {self.num_bad} reports"
            reason = self.target.missing(report) or nothing
        return Decision(bool(reason), bool(best), reason)

    def state_dict(self) -> dict[str, Any]:
        """The best report, what is counted, and the seconds up to the last report."""
        counted = {name: getattr(self, name) for name in COUNTED}
        return {"target": self.target.state_dict(), **counted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.target.load_state_dict(state["target"])
        for name in COUNTED:
            setattr(self, name, state[name])
        self._began = time.monotonic() - self.seconds

    def _best(self) -> float:
        return math.nan if self.target.best is None else self.target.value(self.target.best)

    def _is_better(self, report: Judged) -> bool:
        target, best = self.target, self.target.best
        if self.cfg.relative and best is not None:
            cfg = self.cfg.target
            target = cfg.replace(min_delta=cfg.min_delta * abs(self._best())).build()
        return target.better(report, best)

    def _reasons(self, report: Judged) -> dict[str, bool]:
        """Each reason to stop at once, and whether it holds."""
        cfg, value = self.cfg, self.target.value(report)
        why = self.target.missing(report) or f"{cfg.target.expr} is {value:g}"
        found = {why: cfg.on_nan == "stop" and not math.isfinite(value)}
        if cfg.diverge_at is not None:
            sign = self.target.direction(report)
            found[f"{value:g} is as bad as diverge_at, {cfg.diverge_at:g}"] = sign * (value - cfg.diverge_at) >= 0
        if cfg.max_updates is not None:
            found[f"{self.num_updates} of at most {cfg.max_updates} updates"] = self.num_updates >= cfg.max_updates
        if cfg.max_seconds is not None:
            found[f"{self.seconds:.0f} of at most {cfg.max_seconds:g} seconds"] = self.seconds >= cfg.max_seconds
        return found
