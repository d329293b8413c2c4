"""A factor that falls when a value stops getting better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from dltools.cfgutils.annotations import NonNegative, NonNegativeInt, Unit
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError


class PlateauCfg(Config["Plateau"]):
    """When the learning rate falls, and by how much."""

    factor: Unit = 0.1
    """What the learning rate is multiplied by."""
    patience: NonNegativeInt = 10
    """Observations in a row that may bring nothing better; it falls at the next one."""
    cooldown: NonNegativeInt = 0
    """Observations after a fall that do not count."""
    min_delta: NonNegative = 0.0
    """How much better is better."""
    min_factor: Unit = 0.0
    """Where it stops falling."""
    mode: Literal["min", "max"] = "min"
    """Whether less or more is better."""

    def build(self) -> Plateau:
        """Make it."""
        return Plateau(self)


class Plateau(Component[PlateauCfg]):
    """Multiplies ``factor`` by ``cfg.factor`` when a value has not got better for ``patience`` observations.

    NaN is never better.

    >>> plateau = Plateau(factor=0.5, patience=1)
    >>> for loss in (1.0, 0.9, 0.95, 0.92):
    ...     plateau.observe(loss)
    >>> plateau.factor
    0.5
    """

    def setup(self) -> None:
        self.factor: float = 1.0
        self.best: float = math.inf if self.cfg.mode == "min" else -math.inf
        self.num_bad: int = 0
        self.num_cooling: int = 0

    def observe(self, value: float) -> None:
        """Take a value into account."""
        cfg, value = self.cfg, float(value)
        better = value < self.best - cfg.min_delta if cfg.mode == "min" else value > self.best + cfg.min_delta
        self.best, self.num_bad = (value, 0) if better else (self.best, self.num_bad + 1)
        if self.num_cooling:
            self.num_cooling, self.num_bad = self.num_cooling - 1, 0
        if self.num_bad > cfg.patience:
            self.factor = max(self.factor * cfg.factor, min(cfg.min_factor, self.factor))
            self.num_bad, self.num_cooling = 0, cfg.cooldown

    def state_dict(self) -> dict[str, Any]:
        """All but the config."""
        return {name: getattr(self, name) for name in STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        if state.keys() != set(STATE):
            raise ConfigError(f"the plateau's state has {sorted(state)}", expected=", ".join(STATE))
        for name in STATE:
            setattr(self, name, state[name])


STATE = ("best", "factor", "num_bad", "num_cooling")
