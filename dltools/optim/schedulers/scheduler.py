"""Scheduler: writes what schedules say into the groups of an optimizer."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from dltools.cfgutils.config import Config
from dltools.errors import ConfigError, did_you_mean
from dltools.optim.schedulers.base import Schedule, ScheduleCfg
from dltools.optim.schedulers.plateau import Plateau, PlateauCfg

WRITTEN = frozenset({"lr", "weight_decay", "momentum", "betas"})
"""What a scheduler writes into a group."""


class SchedulerCfg(Config["Scheduler"]):
    """Schedules of the learning rate, the weight decay and the momentum."""

    lr: ScheduleCfg[Any] | None = None
    """Factor on each group's base learning rate."""
    weight_decay: ScheduleCfg[Any] | None = None
    """Factor on each group's base weight decay."""
    momentum: ScheduleCfg[Any] | None = None
    """The momentum itself, or ``betas[0]``."""
    groups: Mapping[str, ScheduleCfg[Any]] = {}
    """Learning-rate factors of single groups by name, in place of ``lr``."""
    plateau: PlateauCfg | None = None
    """A further factor on all learning rates, which falls when what ``observe`` is told stops getting better."""

    def build(self, optimizer: Optimizer, total_updates: int | None = None) -> Scheduler:
        """A scheduler that has set the values of step 0."""
        return Scheduler(self, optimizer, total_updates)


class Scheduler:
    """Keeps the values in an optimizer's groups at ``base value x f(step)``.

    Nothing but the step is its state (and the plateau, if there is one), so whatever is loaded first, optimizer or
    scheduler, the values are those of the step: after the optimizer's ``load_state_dict`` they are written again. Base
    values are the groups' ``initial_lr`` and ``initial_weight_decay``; where absent, the values found. A value that is
    a tensor is filled in place, and stays the same tensor when the optimizer loads a state. A group with
    ``freeze_steps`` gets learning rate 0 until then.

    >>> from dltools.optim.schedulers.curves import LinearScheduleCfg
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    >>> scheduler = SchedulerCfg(lr=LinearScheduleCfg(total_steps=4)).build(optimizer)
    >>> scheduler.step()
    >>> scheduler.get_last_lr(), scheduler.state_dict()
    ([0.6000000000000001], {'step': 1})

    Raises ConfigError for a group that the optimizer does not have, for a momentum where it has none, or one that
    ``betas[0]`` cannot be, and for a step that is no integer >= 0.
    """

    def __init__(self, cfg: SchedulerCfg, optimizer: Optimizer, total_updates: int | None = None) -> None:
        self.cfg: SchedulerCfg = cfg
        self.optimizer: Optimizer = optimizer
        self.last_epoch: int = 0
        known = {group["name"] for group in optimizer.param_groups if "name" in group}
        for name in cfg.groups:
            if name not in known:
                raise ConfigError(f"no parameter group {name!r}", hint=did_you_mean(name, known))
        if cfg.momentum is not None and not all(
            {"momentum", "betas"} & group.keys() for group in optimizer.param_groups
        ):
            raise ConfigError(f"{type(optimizer).__name__} has no momentum", hint="leave momentum out")
        self._lr = _built(cfg.lr, total_updates)
        self._weight_decay = _built(cfg.weight_decay, total_updates)
        self._momentum = _built(cfg.momentum, total_updates)
        self._groups = {name: _built(schedule, total_updates) for name, schedule in cfg.groups.items()}
        self.plateau: Plateau | None = None if cfg.plateau is None else cfg.plateau.build()
        self._attach()
        self._write()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy follows the loading of its own optimizer; torch's copies leave hooks behind."""
        self.__dict__.update(state)
        self._attach()

    def __repr__(self) -> str:
        return f"build({self.cfg!r}, {type(self.optimizer).__name__}) at step {self.last_epoch}"

    @property
    def base_lrs(self) -> list[float]:
        """The learning rate of each group before any factor."""
        return [float(group.get("initial_lr", group["lr"])) for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, n: int = 1) -> None:
        """``n`` updates were made."""
        self.set(self.last_epoch + _whole(n, "n"))

    def set(self, step: int) -> None:
        """Go to a step, in either direction."""
        self.last_epoch = _whole(step, "step")
        self._write()

    def observe(self, value: float) -> None:
        """Tell the plateau a value, such as the loss of a validation."""
        if self.plateau is None:
            raise ConfigError("observe() without a plateau", hint="SchedulerCfg(plateau=PlateauCfg())")
        self.plateau.observe(value)
        self._write()

    def state_dict(self) -> dict[str, Any]:
        """The step, and the plateau where one is configured; all else follows from the config."""
        own = {} if self.plateau is None else {"plateau": self.plateau.state_dict()}
        return {"step": self.last_epoch, **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        if "step" not in state:
            raise ConfigError(f"the scheduler's state has the keys {sorted(state)}", expected="'step'")
        if self.plateau is not None and "plateau" in state:
            self.plateau.load_state_dict(state["plateau"])
        self.set(state["step"])

    def _attach(self) -> None:
        """Follow the optimizer's ``load_state_dict``, without keeping this scheduler alive."""
        alive = weakref.ref(self)
        held: list[dict[str, Any]] = []

        def before(optimizer: Optimizer, _: dict[str, Any]) -> None:
            held[:] = [dict(group) for group in optimizer.param_groups]

        def after(optimizer: Optimizer) -> None:
            if (scheduler := alive()) is not None:
                for group, old in zip(optimizer.param_groups, held, strict=True):
                    for name in old.keys() & group.keys() & WRITTEN:
                        group[name] = _filled(old[name], group[name])
                scheduler._write()
            held.clear()

        self.optimizer.register_load_state_dict_pre_hook(before)
        self.optimizer.register_load_state_dict_post_hook(after)

    def _write(self) -> None:
        for group in self.optimizer.param_groups:
            schedule = self._groups.get(group.get("name", ""), self._lr)
            freeze = group.get("freeze_steps", 0)
            if schedule is not None or freeze or self.plateau is not None:
                factor = 1.0 if schedule is None else schedule(self.last_epoch)
                factor *= 1.0 if self.plateau is None else self.plateau.factor
                _scale(group, "lr", 0.0 if self.last_epoch < freeze else factor)
            if self._weight_decay is not None and "weight_decay" in group:
                _scale(group, "weight_decay", self._weight_decay(self.last_epoch))
            if self._momentum is not None:
                _set_momentum(group, self._momentum(self.last_epoch))


def _whole(number: Any, name: str) -> int:
    if not 0 <= number < math.inf or number != int(number):
        raise ConfigError(f"{name} is {number}", expected="an integer >= 0")
    return int(number)


def _built(cfg: ScheduleCfg[Any] | None, total_updates: int | None) -> Schedule[Any] | None:
    built: Schedule[Any] | None = None if cfg is None else cfg.build(total_updates)
    return built


def _scale(group: dict[str, Any], name: str, factor: float) -> None:
    initial = f"initial_{name}"
    if not isinstance(group.get(initial), float):  # absent, or a tensor of torch's own schedulers, to be read once only
        group[initial] = float(group.get(initial, group[name]))
    group[name] = _filled(group[name], group[initial] * factor)


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "momentum" in group:
        group["momentum"] = _filled(group["momentum"], value)
        return
    if not 0.0 <= value < 1.0:
        raise ConfigError(f"the momentum schedule gives {value:g} for betas[0]", expected="a number in [0, 1)")
    group["betas"] = (_filled(group["betas"][0], value), *group["betas"][1:])


def _filled(old: Any, new: Any) -> Any:
    """The new value; in the same tensor if the old one is a tensor, which a compiled or captured step holds on to."""
    if isinstance(old, tuple):
        return tuple(map(_filled, old, new))
    return old.fill_(new) if isinstance(old, torch.Tensor) else new
