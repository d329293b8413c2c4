"""Optimizers: a family of configs that group the parameters of a model and build torch's optimizers."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

from dltools.cfgutils.annotations import Positive
from dltools.cfgutils.config import Config
from dltools.cfgutils.values import values
from dltools.errors import ConfigError
from dltools.optim.resume import remember
from dltools.optim.utils.groups import ParamGroups, ParamGroupsCfg, param_groups

T_co = TypeVar("T_co", bound=Optimizer, covariant=True)
Params: TypeAlias = nn.Module | ParamGroups | Iterable[nn.Parameter | dict[str, Any]]
"""A module is grouped; all else goes to the optimizer as it is."""
FUSED_DEVICES = frozenset({"cpu", "cuda", "mps", "xpu"})
OURS = frozenset({"groups", "impl"})
"""Fields that are no argument of the optimizer."""
SHARDED = (torch.optim.Adam, torch.optim.AdamW)
"""Those whose fused kernels take DTensor, as FSDP2 makes them."""


class OptimCfg(Config[T_co]):
    """The family of optimizers: a config's other fields are the arguments of the class that it names.

    The built optimizer follows its config when it loads a state: options that differ from those that the state was
    saved with take effect, and so do groups' names and the implementation. Values that somebody has moved since they
    were configured stay moved: a learning rate that a schedule wrote keeps its ratio to the base (``initial_lr``,
    ``initial_weight_decay``).

    Raises ConfigError where there is nothing to train, for an ``impl`` that the optimizer or its parameters do not
    allow, and for whatever the optimizer refuses; on loading for a state of another optimizer or of groups in another
    order, and for an option that needs moments which the state does not have.
    """

    hint: ClassVar[str] = ""
    """What to do when the optimizer refuses its parameters."""
    lr: Positive
    """Base learning rate."""
    groups: ParamGroupsCfg = ParamGroupsCfg()
    """How the parameters of a module are grouped."""
    impl: Literal["auto", "fused", "foreach", "loop"] = "auto"
    """How the update is computed; auto: fused where torch can."""

    def build(self, params: Params) -> T_co:
        """The optimizer of a module's parameters, or of given groups or parameters."""
        make, options = self.product(), self.arguments()
        if isinstance(params, nn.Module):
            sparse = any(vars(module).get("sparse") is True for module in params.modules())
            given: list[Any] = self.grouped(params)
        else:
            sparse, given = False, _listed(params)
        tensors = list(_tensors(given))
        if not tensors:
            raise ConfigError(
                f"{type(self).__name__} got no trainable parameter",
                hint="requires_grad_(True) on some; a generator gives its parameters only once, a list again and again",
            )
        can_fuse = not sparse and not options.get("differentiable") and all(_fusible(one, make) for one in tensors)
        try:
            optimizer = make(given, **options, **_implementation(self.impl, make, can_fuse))
        except ValueError as error:
            raise ConfigError(f"{make.__name__}: {error}", hint=self.hint) from None
        remember(optimizer, options)
        return optimizer

    def arguments(self) -> dict[str, Any]:
        """What the optimizer's class is given besides the parameters."""
        return {name: value for name, value in values(self).items() if name not in OURS}

    def grouped(self, model: nn.Module) -> list[Any]:
        """The groups of a module; without a weight decay no role differs from another."""
        decay, cfg = self.arguments().get("weight_decay"), self.groups
        if chosen := [rule for rule in cfg.rules if rule.optimizer is not None]:
            given = f"rule {chosen[0].name!r} chooses the optimizer {chosen[0].optimizer!r}"
            raise ConfigError(given, hint="MixedOptimCfg has several, to choose from")
        if decay is None:
            cfg = cfg.replace(decay_roles=())
        return list(param_groups(model, lr=self.lr, weight_decay=decay or 0.0, cfg=cfg))


def _listed(params: Any) -> list[Any]:
    """What was given as a list, with each group's parameters as a list: generators may be read only once."""
    if isinstance(params, torch.Tensor | dict | str) or not isinstance(params, Iterable):
        raise ConfigError(
            f"params is a {type(params).__name__}",
            expected="a module, parameters or groups of them",
            hint="put a single one in a list",
        )
    return [{**one, "params": _listed_group(one)} if isinstance(one, dict) else one for one in params]


def _listed_group(group: dict[str, Any]) -> list[Any]:
    if "params" not in group:
        raise ConfigError(f"a group has the keys {sorted(group)}", expected="'params' among them")
    params = group["params"]
    return [params] if isinstance(params, torch.Tensor) else list(params)


def _tensors(given: list[Any]) -> Iterator[Any]:
    for one in given:
        for param in one["params"] if isinstance(one, dict) else [one]:
            yield param[1] if isinstance(param, tuple) else param


def _fusible(param: Any, make: Any) -> bool:
    is_dense = isinstance(param, torch.Tensor) and param.device.type in FUSED_DEVICES and param.is_floating_point()
    return is_dense and (make in SHARDED or not hasattr(param, "full_tensor"))


def _implementation(impl: str, make: Any, can_fuse: bool) -> dict[str, bool]:
    """The arguments by which the optimizer's class chooses its implementation."""
    has = inspect.signature(make).parameters.keys() & {"fused", "foreach"}
    if impl == "auto":
        return {"fused": True} if "fused" in has and can_fuse else {}
    if impl != "loop" and impl not in has:
        raise ConfigError(f"impl is {impl!r}, which {make.__name__} does not have", hint="impl='auto'")
    if impl == "fused" and not can_fuse:
        raise ConfigError(
            "impl is 'fused', which these parameters or options do not allow",
            expected=f"floating-point parameters on {', '.join(sorted(FUSED_DEVICES))}, none sparse or differentiable, "
            "and sharded ones for Adam and AdamW alone",
            hint="impl='auto'",
        )
    return dict.fromkeys(has, False) if impl == "loop" else {impl: True}
