"""The open window as a checkpoint keeps it: a state that goes on alike, whichever of the ranks wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dltools.errors import ConfigError, did_you_mean
from dltools.handlers.accumulate import Accumulate
from dltools.handlers.parallel import Parallel
from dltools.handlers.sharded import split_like, whole
from dltools.optim.utils.names import named_parameters

FIELDS = ("size", "total", "scale", "is_local", "estimate")
"""What an open window holds besides gradients."""


def window_state(window: Accumulate, model: nn.Module, params: Sequence[Tensor], parallel: Parallel) -> dict[str, Any]:
    """Plain values and copies of tensors; gradients by clean name, those of this rank and what the others have beside.

    With several ranks all of them call it while a window is open; it waits for them.
    """
    fields = {name: _copy(getattr(window, name)) for name in FIELDS}
    named = _named(model, params) if window.size else {}
    own = {name: _copy(whole(param.grad)) for name, param in named.items() if param.grad is not None}
    others = _others(named, window, parallel) if window.size and parallel.world > 1 else {"total": 0, "gradients": {}}
    return {**fields, "rank": parallel.rank, "world": parallel.world, "gradients": own, "others": others}


def _others(named: Mapping[str, Tensor], window: Accumulate, parallel: Parallel) -> dict[str, Any]:
    """The count of the other ranks, and the sums of their gradients where each rank still has its own."""
    total, _, _, there = parallel.survey(window, list(named.values()))
    present = {id(param) for param in there}
    own = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in named.items() if id(p) in present}
    sums = {name: grad.detach().clone() for name, grad in own.items()}
    parallel.add_(list(sums.values()))
    return {"total": total - int(window.whole()), "gradients": {name: sums[name] - own[name] for name in sums}}


def load_window(
    state: Mapping[str, Any], window: Accumulate, model: nn.Module, params: Sequence[Tensor], parallel: Parallel
) -> None:
    """Go on in the window that was saved: by this rank, or by another that all ranks load.

    The rank that saved takes what was its own, and the others share the rest. Where the number of ranks is another, all
    take the average.
    """
    named, (total, gradients, is_local) = _named(model, params), _mine(state, parallel)
    for name, grad in gradients.items():
        if name not in named or named[name].shape != grad.shape:
            raise ConfigError(f"no parameter {name!r} of shape {list(grad.shape)}", hint=did_you_mean(name, named))
    for name, param in named.items():
        given = gradients.get(name)
        param.grad = None if given is None else split_like(given, param)
    device = params[0].device
    for name, value in {**{name: state[name] for name in FIELDS}, "total": total, "is_local": is_local}.items():
        setattr(window, name, value.to(device) if isinstance(value, Tensor) else value)


def _mine(state: Mapping[str, Any], parallel: Parallel) -> tuple[Any, Mapping[str, Tensor], bool]:
    """Count and gradients for this rank, and whether they are its own."""
    own, others, rank, world = state["gradients"], state["others"], state["rank"], state["world"]
    is_local, is_mine, total = state["is_local"], parallel.rank == rank, state["total"]
    if world == parallel.world and not (is_local and parallel.is_sharded):
        first = 1 if rank == 0 else 0
        if total is not None and not is_mine:
            total = others["total"] if parallel.rank == first else 0
        if not is_local or is_mine:
            return total, own, is_local
        return total, {name: grad / (world - 1) for name, grad in others["gradients"].items()}, True
    share = parallel.world if total is not None else world
    if total is not None:
        total = total + others["total"] if parallel.rank == 0 else 0
    sums = _plus(own, others["gradients"]) if is_local else {name: grad * world for name, grad in own.items()}
    return total, {name: grad / share for name, grad in sums.items()}, False


def _plus(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {**a, **b, **{name: a[name] + b[name] for name in a.keys() & b.keys()}}


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _named(model: nn.Module, params: Sequence[Tensor]) -> dict[str, Tensor]:
    """The optimizer's parameters by their first clean name; those from outside the model by their number."""
    names: dict[int, str] = {}
    for name, param in named_parameters(model):
        names.setdefault(id(param), name)
    return {names.get(id(param), str(i)): param for i, param in enumerate(params)}
