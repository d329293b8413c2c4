"""Optimizers of other packages, by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch.optim import Optimizer

from dltools.cfgutils.annotations import Positive
from dltools.errors import ConfigError, MissingExtraError, did_you_mean
from dltools.optim.base import OptimCfg

Option = bool | int | float | str | None | tuple[float, ...]
PACKAGES: dict[str, tuple[str, Callable[[], MissingExtraError]]] = {
    "pytorch_optimizer": ("pytorch_optimizer", lambda: MissingExtraError("pytorch-optimizer", "optim")),
    "schedulefree": ("schedulefree", lambda: MissingExtraError("schedulefree", "optim")),
    "timm": ("timm.optim", lambda: MissingExtraError("timm", "models")),
}
"""Module, and what to say where it is not installed."""


class ExternalOptimCfg(OptimCfg[Optimizer]):
    """An optimizer of a package that is installed beside dltools: ``pip install "dltools[optim]"``.

    ``ExternalOptimCfg(source="schedulefree", name="AdamWScheduleFree", options={"warmup_steps": 100})``. A module is
    grouped as for torch's own. Raises ConfigError for a name that the package does not have and for options that the
    class does not take, MissingExtraError where the package is not installed.
    """

    source: Literal["pytorch_optimizer", "schedulefree", "timm"]
    """The package; no other one is ever imported."""
    name: str
    """The class, such as "Lion"."""
    options: Mapping[str, Option] = {}
    """Its further arguments, ``weight_decay`` among them."""
    lr: Positive = 1e-3

    def __post_init__(self) -> None:
        if taken := {"lr", "params"} & self.options.keys():
            raise ConfigError(f"options has {min(taken)!r}", hint="lr is a field of its own")

    def product(self) -> Callable[..., Optimizer]:
        """The class in its package."""
        super().product()
        module, missing = PACKAGES[self.source]
        try:
            package = importlib.import_module(module)
        except ImportError as error:
            raise missing() from error
        known = {
            name: cls for name, cls in vars(package).items() if isinstance(cls, type) and issubclass(cls, Optimizer)
        }
        if self.name not in known:
            raise ConfigError(f"{self.source} has no optimizer {self.name!r}; {did_you_mean(self.name, known)}")
        make = known[self.name]
        parameters = inspect.signature(make).parameters
        legal = [name for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD and name != "params"]
        for name in self.options:
            if name not in legal:
                raise ConfigError(f"{self.name} takes no option {name!r}; {did_you_mean(name, legal)}")
        return make

    def arguments(self) -> dict[str, Any]:
        return {"lr": self.lr, **self.options}
