"""Several optimizers, each for some of the parameters, that are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Optimizer

from dltools.cfgutils.annotations import Positive
from dltools.errors import ConfigError, did_you_mean
from dltools.optim.base import OptimCfg
from dltools.optim.utils.groups import ParamGroupsCfg, param_groups


class MixedOptimCfg(OptimCfg["MixedOptim"]):
    """Optimizers by name; ``groups.rules`` choose among them by their ``optimizer``."""

    optimizers: Mapping[str, OptimCfg[Any]]
    """Each with its own learning rate and options; the rules of all stand in ``groups``."""
    default: str
    """The one for what no rule gives to another."""
    lr: Positive = 1.0
    """Factor on the learning rates of all."""

    def __post_init__(self) -> None:
        named = {"default": self.default} | {f"rule {r.name!r}": r.optimizer for r in self.groups.rules if r.optimizer}
        for where, name in named.items():
            if name not in self.optimizers:
                raise ConfigError(f"{where}: no optimizer {name!r}; {did_you_mean(name, self.optimizers)}")
        for name, cfg in self.optimizers.items():
            if cfg.groups != ParamGroupsCfg():
                raise ConfigError(f"optimizers.{name} has groups of its own", hint="move its rules to the outer groups")

    def arguments(self) -> dict[str, Any]:
        return {"optimizers": self.optimizers, "default": self.default, "lr": self.lr}

    def grouped(self, model: nn.Module) -> list[Any]:
        """The groups of a module, each with the base values of the optimizer that takes it."""
        found = []
        for name, cfg in self.optimizers.items():
            decay = cfg.arguments().get("weight_decay") or 0.0
            groups = param_groups(model, lr=self.lr * cfg.lr, weight_decay=decay, cfg=self.groups)
            mine = ({"optimizer": self.default, **group} for group in groups)
            found += [group for group in mine if group["optimizer"] == name]
        return found


class MixedOptim(Optimizer):
    """One optimizer to the outside: its groups, state, ``step`` and ``state_dict`` are those of all.

    >>> from dltools.optim import AdamWCfg, GroupRuleCfg, MuonCfg, ParamGroupsCfg
    >>> rules = (GroupRuleCfg(name="matrices", roles=("weight",), optimizer="muon"),)
    >>> both = {"muon": MuonCfg(lr=0.02), "adamw": AdamWCfg()}
    >>> cfg = MixedOptimCfg(optimizers=both, default="adamw", groups=ParamGroupsCfg(rules=rules))
    >>> optimizer = cfg.build(nn.Linear(2, 2))
    >>> [(group["name"], group["optimizer"], group["lr"]) for group in optimizer.param_groups]
    [('matrices', 'muon', 0.02), ('no_decay', 'adamw', 0.001)]

    A group that is given without a name of an optimizer goes to ``default``.
    """

    def __init__(
        self, params: list[Any], optimizers: Mapping[str, OptimCfg[Any]], default: str, lr: float = 1.0
    ) -> None:
        loose = [one for one in params if not isinstance(one, dict)]
        groups = [one for one in params if isinstance(one, dict)] + ([{"params": loose}] if loose else [])
        self.optimizers: dict[str, Optimizer] = {}
        for name, cfg in optimizers.items():
            mine = [{"optimizer": name, **one} for one in groups if one.get("optimizer", default) == name]
            if mine:
                self.optimizers[name] = cfg.replace(lr=lr * cfg.lr).build(mine)
        super().__init__([group for one in self.optimizers.values() for group in one.param_groups], {})
        self._share()

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether all take ``found_inf``; one with a momentum of torch's SGD has to be asked on the host."""
        return all(
            getattr(one, "_step_supports_amp_scaling", False) and not isinstance(one, SGD)
            for one in self.optimizers.values()
        )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Let each take its step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        hooks = {name: value for name, value in vars(self).items() if name in ("found_inf", "grad_scale")}
        for one in self.optimizers.values():
            vars(one).update(hooks)
            try:
                one.step()
            finally:
                for name in hooks:
                    del vars(one)[name]
        return loss

    def train(self) -> None:
        """Training mode, for those that have one."""
        self._switch("train")

    def eval(self) -> None:
        """Evaluation mode, for those that have one."""
        self._switch("eval")

    def _switch(self, mode: str) -> None:
        for one in self.optimizers.values():
            getattr(one, mode, lambda: None)()

    def _share(self) -> None:
        """The groups and the state of all are the same objects as those of this one."""
        for name, one in self.optimizers.items():
            one.state = self.state
            one.param_groups = [group for group in self.param_groups if group["optimizer"] == name]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "optimizers": self.optimizers}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()
