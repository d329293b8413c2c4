"""What is done to a model in place: compiling it, and computing activations twice to save memory."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dltools.cfgutils.annotations import PositiveInt
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError, did_you_mean
from dltools.optim.utils.layers import stack_of
from dltools.optim.utils.names import check_regex, walk

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="ModuleChangeCfg[Any]")


class ModuleChangeCfg(Config[T_co]):
    """The family of changes of a model that leave its parameters and their names alone."""

    def build(self) -> T_co:
        """Make it."""
        return self.product()(self)


class ModuleChange(Component[CfgT], ABC):
    """Called with a model, it changes the model in place; keys of ``state_dict`` stay as they are."""

    @abstractmethod
    def __call__(self, model: nn.Module) -> None:
        """Change the model."""


class CompileModuleCfg(ModuleChangeCfg["CompileModule"]):
    """Arguments of torch.compile."""

    mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] | None = None
    fullgraph: bool = False
    dynamic: bool | None = None
    backend: str = "inductor"


class CompileModule(ModuleChange[CompileModuleCfg]):
    """Let calls of the model run compiled.

    >>> model = nn.Linear(2, 1)
    >>> CompileModule(backend="eager")(model)
    >>> list(model.state_dict()), model(torch.zeros(3, 2)).shape
    (['weight', 'bias'], torch.Size([3, 1]))
    """

    def __call__(self, model: nn.Module) -> None:
        cfg = self.cfg
        model.compile(mode=cfg.mode, fullgraph=cfg.fullgraph, dynamic=cfg.dynamic, backend=cfg.backend)


class CheckpointActivationsCfg(ModuleChangeCfg["CheckpointActivations"]):
    """Which modules keep no activations."""

    match: str | None = None
    """Regular expression, searched in the names of modules; the outermost that fit."""
    every: PositiveInt | None = None
    """One in so many children of the largest Sequential or ModuleList, from the first on; 1 where nothing is said."""

    def __post_init__(self) -> None:
        if self.match is not None and self.every is not None:
            raise ConfigError(f"match is {self.match!r}, every {self.every}", expected="one of both")
        check_regex(self.match)


class CheckpointActivations(ModuleChange[CheckpointActivationsCfg]):
    """Let modules forget their activations, and compute them again in the backward pass: less memory, more time.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    >>> CheckpointActivations(match="^0$")(model)
    >>> model(torch.zeros(3, 2)).sum().backward()
    >>> list(model.state_dict())
    ['0.weight', '0.bias']

    Random numbers are the same both times. Raises ConfigError where nothing fits.

    Chen et al. 2016, arXiv:1604.06174.
    """

    def __call__(self, model: nn.Module) -> None:
        for module in self._chosen(model):
            module.forward = partial(_forward, module.forward)

    def _chosen(self, model: nn.Module) -> list[nn.Module]:
        named = dict(walk(model))
        if self.cfg.match is None:
            stack, children = stack_of(model)
            return [named[f"{stack}{key}"] for key in children[:: self.cfg.every or 1]]
        found: list[str] = []
        for name in named:
            inside = any(name.startswith(f"{outer}.") for outer in found)
            if name and not inside and re.search(self.cfg.match, name):
                found.append(name)
        if not found:
            raise ConfigError(
                f"match {self.cfg.match!r} fits no module", hint=did_you_mean(self.cfg.match or "", named)
            )
        return [named[name] for name in found]


def _forward(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
