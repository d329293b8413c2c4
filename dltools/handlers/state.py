"""The state of an open window: its counts, its loss scale, and the gradients that wait in the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dltools.errors import ConfigError, did_you_mean
from dltools.handlers.accumulate import Accumulate
from dltools.optim.utils.names import named_parameters

FIELDS = ("size", "total", "scale", "is_local", "estimate")


def window_state(window: Accumulate, model: nn.Module, params: Sequence[Tensor]) -> dict[str, Any]:
    """Plain values and copies of tensors; gradients by clean name, under DDP those of this rank."""
    fields = {name: _copy(getattr(window, name)) for name in FIELDS}
    named = _named(model, params) if window.size else {}
    return {**fields, "gradients": {name: _copy(p.grad) for name, p in named.items() if p.grad is not None}}


def load_window(state: Mapping[str, Any], window: Accumulate, model: nn.Module, params: Sequence[Tensor]) -> None:
    """Go on in the window that was saved."""
    named, gradients = _named(model, params), state["gradients"]
    for name, grad in gradients.items():
        if name not in named or named[name].shape != grad.shape:
            raise ConfigError(f"no parameter {name!r} of shape {list(grad.shape)}", hint=did_you_mean(name, named))
    for name, param in named.items():
        given = gradients.get(name)
        param.grad = None if given is None else given.to(param, copy=True)
    device = params[0].device
    for name in FIELDS:
        value = state[name]
        setattr(window, name, value.to(device) if isinstance(value, Tensor) else value)


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _named(model: nn.Module, params: Sequence[Tensor]) -> dict[str, Tensor]:
    """The optimizer's parameters by their first clean name; those from outside the model by their number."""
    names: dict[int, str] = {}
    for name, param in named_parameters(model):
        names.setdefault(id(param), name)
    return {names.get(id(param), str(i)): param for i, param in enumerate(params)}
