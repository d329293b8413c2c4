"""What happens when an optimizer loads a state that was saved under another config: it is honoured, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from dltools.errors import ConfigError

BASE = ("lr", "weight_decay")
"""What schedules move; it keeps its ratio to the base."""
OWN = ("name", "optimizer", "freeze_steps", "fused", "foreach")
"""What a loaded state never changes in a group."""
MOMENTS = {"amsgrad": "max_exp_avg_sq", "centered": "grad_avg", "momentum": "momentum_buffer"}
"""Options that need a moment from the first update on: momentum only that of RMSprop, which has ``centered``."""


def remember(optimizer: Optimizer, options: Mapping[str, Any]) -> None:
    """Note in each group what is configured, for when a state is loaded."""
    for group in optimizer.param_groups:
        for name in BASE:
            if name in group:
                group[f"initial_{name}"] = group[name]
        said = {name: group[name] for name in options if name in group and name not in BASE}
        group["configured"] = {**group.get("configured", {}), **said}
    optimizer.register_load_state_dict_pre_hook(_follow_config)


def _follow_config(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The state to load, with what is configured as it is here."""
    names = [group.get("name") for group in optimizer.param_groups]
    groups = []
    for own, loaded in zip(optimizer.param_groups, state["param_groups"], strict=False):
        name = loaded.get("name")
        if name != own.get("name") and name in names:
            raise ConfigError(
                f"group {own.get('name')!r} would get the state of group {name!r}",
                hint="leave the rules, and what they match, in the order that the state was saved with",
            )
        kept = {name: own[name] for name in OWN if name in own} | _base(own, loaded) | _options(own, loaded)
        if state["state"]:
            _refuse_new_moments({**loaded, **kept}, loaded)
        groups.append({**loaded, **kept})
    return {**state, "param_groups": [*groups, *state["param_groups"][len(groups) :]]}


def _base(own: dict[str, Any], loaded: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name in (name for name in BASE if f"initial_{name}" in own and name in loaded):
        base, old = own[f"initial_{name}"], loaded.get(f"initial_{name}", loaded[name])
        kept |= {f"initial_{name}": base, name: loaded[name] if old == base else _rescaled(loaded[name], base, old)}
    return kept


def _rescaled(value: Any, base: float, old: Any) -> Any:
    return base if not old or value == old else value * (base / old)


def _options(own: dict[str, Any], loaded: dict[str, Any]) -> dict[str, Any]:
    """What is configured otherwise than when the state was saved; a value that was moved since stays as it is."""
    now, then = own.get("configured", {}), loaded.get("configured", {})
    for name, value in now.items():
        if name not in loaded and not isinstance(value, bool):  # torch adds flags from time to time
            raise ConfigError(
                f"the state is that of another optimizer: it has no {name!r}",
                hint="go on with the config that saved it, or start in another folder",
            )
    changed = {name: value for name, value in now.items() if name not in then or then[name] != value}
    return {**changed, "configured": now} if "configured" in own else {}


def _refuse_new_moments(group: dict[str, Any], loaded: dict[str, Any]) -> None:
    for name, moment in MOMENTS.items():
        is_needed = name != "momentum" or "centered" in group
        if is_needed and group.get(name) and not loaded.get(name):
            raise ConfigError(
                f"{name} is {group[name]}, and the state was saved without it: it has no {moment!r}",
                hint=f"leave {name} as it was, or begin with a new optimizer",
            )
