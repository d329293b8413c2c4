"""The parts of a run and their states: modules under clean names, optimizers by the names of their parameters."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.optim import Optimizer

from dltools.checkpoints.codec import Tree
from dltools.errors import CheckpointError, ConfigError, did_you_mean
from dltools.optim.utils.names import PARALLEL, WRAPPERS, named_parameters, unwrap


@runtime_checkable
class Stateful(Protocol):
    """Whatever has a state: modules, optimizers, schedulers, loaders, meters, averages."""

    def state_dict(self) -> Mapping[str, Any]:
        """The state, as it is now."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Go on from a state."""
        ...


def states_of(parts: Mapping[str, Stateful]) -> dict[str, Tree]:
    """The states to save; tensors are not copied."""
    for name, part in parts.items():
        if not isinstance(part, Stateful):
            raise ConfigError(f"part {name!r} is a {type(part).__name__}", expected="state_dict and load_state_dict")
    names = _names(parts)
    return {name: _state(part, names) for name, part in parts.items()}


def _state(part: Stateful, names: Mapping[int, str]) -> Tree:
    if isinstance(part, nn.Module):
        clean = clean_keys(part)
        return {clean[key]: x for key, x in unwrap(part).state_dict().items()}
    return _by_name(part, names) if isinstance(part, Optimizer) else part.state_dict()


def _names(parts: Mapping[str, Stateful]) -> dict[int, str]:
    """Clean names of the model's parameters, by identity; a tied one has its first."""
    model = parts.get("model")
    found: dict[int, str] = {}
    for name, param in named_parameters(model) if isinstance(model, nn.Module) else ():
        found.setdefault(id(param), name)
    return found


def clean_keys(model: nn.Module) -> dict[str, str]:
    """From the keys of ``unwrap(model).state_dict()`` to what they are without wrappers inside.

    >>> net = nn.Sequential(nn.DataParallel(nn.Linear(1, 1)))
    >>> clean_keys(net)
    {'0.module.weight': '0.weight', '0.module.bias': '0.bias'}
    """
    base = unwrap(model)
    parallel = {f"{name}.module" for name, module in base.named_modules() if isinstance(module, PARALLEL)}
    clean: dict[str, str] = {}
    for key in base.state_dict():
        words = key.split(".")
        kept = [w for i, w in enumerate(words) if w not in WRAPPERS and ".".join(words[: i + 1]) not in parallel]
        clean[key] = ".".join(kept)
    if len(set(clean.values())) < len(clean):
        raise CheckpointError(f"{type(base).__name__} has keys that are equal without names of wrappers")
    return clean


def _by_name(optimizer: Optimizer, names: Mapping[int, str]) -> Tree:
    """The optimizer's state with names in place of torch's numbers; as it is if some parameter has no name."""
    state = optimizer.state_dict()
    params = [param for group in optimizer.param_groups for param in group["params"]]
    if not all(id(param) in names for param in params):
        return state
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    name_of = {number: names[id(param)] for number, param in zip(numbers, params, strict=True)}
    groups = [{**group, "params": [name_of[n] for n in group["params"]]} for group in state["param_groups"]]
    return {**state, "state": {name_of.get(k, k): x for k, x in state["state"].items()}, "param_groups": groups}


def _by_number(name: str, optimizer: Optimizer, state: Tree, names: Mapping[int, str]) -> Tree:
    """The other way, in the order of this optimizer's groups."""
    own = [[names.get(id(param), "") for param in group["params"]] for group in optimizer.param_groups]
    saved = {frozenset(group["params"]): group for group in state["param_groups"]}
    numbers = {key: number for number, key in enumerate(key for keys in own for key in keys)}
    groups = []
    for keys in own:
        group = saved.get(frozenset(keys))
        if group is None or "" in keys:
            raise CheckpointError(
                f"part {name!r}: no saved group has exactly the parameters {', '.join(keys)[:200] or 'without names'}",
                expected=f"{len(saved)} groups as they were saved",
                hint="restore 'model' beside it, and group its parameters as before",
            )
        groups.append({**group, "params": [numbers[key] for key in keys]})
    if len(groups) != len(saved):
        raise CheckpointError(f"part {name!r} has {len(groups)} groups", expected=f"{len(saved)}, as saved")
    return {**state, "state": {numbers.get(k, k): x for k, x in state["state"].items()}, "param_groups": groups}


def matched(states: Mapping[str, Tree], parts: Mapping[str, Stateful], where: str) -> dict[str, Tree]:
    """The states that the parts can load; a CheckpointError says what does not fit."""
    absent = [name for name in parts if name not in states]
    if absent:
        raise CheckpointError(f"{where} has no part {absent[0]!r}", hint=did_you_mean(absent[0], states))
    names = _names(parts)
    found: dict[str, Tree] = {}
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            found[name] = _matched_module(name, part, states[name], where)
        elif isinstance(part, Optimizer) and _is_named(states[name]):
            found[name] = _by_number(name, part, states[name], names)
        else:
            found[name] = states[name]
    return found


def _is_named(state: Tree) -> bool:
    groups = state.get("param_groups", ()) if isinstance(state, dict) else ()
    return any(isinstance(key, str) for group in groups for key in group["params"])


def _matched_module(name: str, module: nn.Module, state: Tree, where: str) -> Tree:
    own = unwrap(module).state_dict()
    keys = {clean: key for key, clean in clean_keys(module).items()}
    if not isinstance(state, dict):
        raise CheckpointError(f"part {name!r} of {where} is the state of no module")
    missing, extra = sorted(keys.keys() - state.keys()), sorted(state.keys() - keys.keys())
    if missing or extra:
        told = [f"lacks {', '.join(missing[:5])}"] * bool(missing) + [f"has {', '.join(map(str, extra[:5]))}"] * bool(
            extra
        )
        raise CheckpointError(f"part {name!r} of {where} {' and '.join(told)}", expected="the keys of the module")
    for clean, key in keys.items():
        new, old = state[clean], own[key]
        if isinstance(old, torch.Tensor) and getattr(new, "shape", None) != old.shape:
            shape = list(getattr(new, "shape", ()))
            raise CheckpointError(f"{name}.{clean} of {where} has shape {shape}", expected=str(list(old.shape)))
    return {keys[clean]: x for clean, x in state.items()}


def restore(states: Mapping[str, Tree], parts: Mapping[str, Stateful]) -> None:
    """Load states that ``matched`` gave; if a part refuses its own, all are as they were.

    Modules come last: they were matched key by key and cannot refuse.
    """
    before: dict[str, Tree] = {}
    for name, part in sorted(parts.items(), key=lambda item: isinstance(item[1], nn.Module)):
        if isinstance(part, nn.Module):
            unwrap(part).load_state_dict(states[name])
            continue
        before[name] = copy.deepcopy(part.state_dict())
        try:
            part.load_state_dict(states[name])
        except Exception as error:
            for done, state in before.items():
                parts[done].load_state_dict(state)
            raise CheckpointError(f"part {name!r} refuses its state: {error}") from error
