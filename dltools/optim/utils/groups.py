"""Parameter groups: which parameter gets which learning rate and weight decay, and why."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from dltools.cfgutils.annotations import NonNegative, NonNegativeInt, Unit
from dltools.cfgutils.record import Record
from dltools.errors import ConfigError, did_you_mean
from dltools.optim.utils.layers import layer_depths
from dltools.optim.utils.names import check_regex, walk
from dltools.optim.utils.roles import Role, parametrised_role, role_of


class GroupRuleCfg(Record):
    """Settings for the parameters that meet every condition given; the first rule that takes a parameter keeps it."""

    name: str
    """Name of the group, by which SchedulerCfg.groups finds it."""
    match: str | None = None
    """Regular expression, searched in the parameter's name without wrappers' prefixes."""
    types: tuple[str, ...] = ()
    """Class names: of the module that holds the parameter, or of one of its bases."""
    roles: tuple[Role, ...] = ()
    lr_mult: NonNegative = 1.0
    """Factor on the learning rate."""
    weight_decay: NonNegative | None = None
    """In place of the optimizer's; None: by role."""
    optimizer: str | None = None
    """Which of the optimizers of a MixedOptim takes them; None: its default."""
    freeze_steps: NonNegativeInt = 0
    """The group's learning rate is 0 for so many updates; the Scheduler sees to it."""

    def __post_init__(self) -> None:
        check_regex(self.match)


class ParamGroupsCfg(Record):
    """How the parameters of a model are grouped."""

    rules: tuple[GroupRuleCfg, ...] = ()
    """Exceptions, the first that fits first."""
    decay_roles: tuple[Role, ...] = ("weight", "embedding")
    """Roles that get weight decay; the others get none."""
    layer_decay: Unit | None = None
    """Each layer's learning rate is this share of the next one's."""
    on_unused_rule: Literal["error", "ignore"] = "error"
    """What a rule that takes no parameter is."""

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"two rules are called {min(twice)!r}", hint="give each rule its own name")


_Found: TypeAlias = tuple[str, nn.Parameter, nn.Module, Role]
"""A parameter under one of its names: name, parameter, the module that holds it, the role of its first name."""


class GroupRow(NamedTuple):
    """What one parameter gets: its role, the name of the rule that took it, its learning rate and weight decay."""

    role: Role
    rule: str | None
    lr: float
    weight_decay: float


class ParamGroups(list[dict[str, Any]]):
    """Groups as torch's optimizers take them, and a row per parameter that says why."""

    def __init__(self, groups: Iterable[dict[str, Any]], rows: dict[str, GroupRow]) -> None:
        super().__init__(groups)
        self.rows: dict[str, GroupRow] = rows

    def explain(self) -> str:
        """A table with a line per parameter, for people."""
        lines = [("parameter", "role", "rule", "lr", "weight_decay")]
        lines += [(n, r.role, r.rule or "-", f"{r.lr:g}", f"{r.weight_decay:g}") for n, r in self.rows.items()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


class _Settings(NamedTuple):
    """What is equal for all parameters of a group."""

    name: str
    lr: float
    weight_decay: float
    freeze_steps: int
    optimizer: str | None


def param_groups(
    model: nn.Module, *, lr: float, weight_decay: float, cfg: ParamGroupsCfg = ParamGroupsCfg()
) -> ParamGroups:
    """Group the trainable parameters of a model: each once, tied ones under their first name.

    >>> groups = param_groups(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), lr=0.1, weight_decay=0.01)
    >>> print(groups.explain())
    parameter  role    rule  lr   weight_decay
    0.weight   weight  -     0.1  0.01
    0.bias     bias    -     0.1  0
    1.weight   norm    -     0.1  0
    1.bias     bias    -     0.1  0
    >>> [(group["name"], len(group["params"])) for group in groups]
    [('decay', 1), ('no_decay', 3)]

    Raises ConfigError for a rule that takes no parameter, and for rules that would set a tied parameter in two ways.
    """
    firsts, ties = _trainable(model)
    depths = {} if cfg.layer_decay is None else layer_depths(model, [name for name, *_ in firsts])
    top, keep = max(depths.values(), default=0), 1.0 if cfg.layer_decay is None else cfg.layer_decay
    groups: dict[_Settings, list[nn.Parameter]] = {}
    made: dict[tuple[str | None, Role, int], tuple[list[nn.Parameter], GroupRow]] = {}
    rows: dict[str, GroupRow] = {}
    used: set[str] = set()
    for found in firsts:
        name, param, _, role = found
        depth = depths.get(name, top)
        base = lr * keep ** (top - depth) if depths else lr
        rule = _rule(ties.get(name, [found]), cfg, base, weight_decay, used) if cfg.rules else None
        kind = (None if rule is None else rule.name, role, depth)
        if kind not in made:
            settings = _settings(rule, role, base, weight_decay, cfg)
            made[kind] = groups.setdefault(settings, []), GroupRow(role, kind[0], settings.lr, settings.weight_decay)
        params, rows[name] = made[kind]
        params.append(param)
    if cfg.on_unused_rule == "error":
        _refuse_unused([rule for rule in cfg.rules if rule.name not in used], firsts)
    return ParamGroups(({"params": params, **_told(settings)} for settings, params in groups.items()), rows)


def _told(settings: _Settings) -> dict[str, Any]:
    told = settings._asdict()
    return told if settings.optimizer is not None else {k: x for k, x in told.items() if k != "optimizer"}


def _trainable(model: nn.Module) -> tuple[list[_Found], dict[str, list[_Found]]]:
    """Each trainable parameter under its first name; and tied ones, by their first name, under all of their names."""
    firsts: dict[int, _Found] = {}
    ties: dict[str, list[_Found]] = {}
    for prefix, module in walk(model):
        if not module._parameters:
            continue
        tensor, owner = _parametrised(model, prefix) if isinstance(module, ParametrizationList) else ("", module)
        for key, param in module._parameters.items():
            if param is None or not param.requires_grad:
                continue
            name = f"{prefix}.{key}" if prefix else key
            if type(param) is not nn.Parameter and is_lazy(param):
                raise ConfigError(f"{name} has no shape yet", hint="run one forward pass before building the optimizer")
            if isinstance(module, ParametrizationList):
                role = parametrised_role(owner, tensor, module, param)
            else:
                role = role_of(module, key, param)
            found = (name, param, owner, role)
            first = firsts.setdefault(id(param), found)
            if first is not found:
                ties.setdefault(first[0], [first]).append((name, param, owner, first[3]))
    return list(firsts.values()), ties


def _parametrised(model: nn.Module, prefix: str) -> tuple[str, nn.Module]:
    """The tensor that a ParametrizationList stands for: its name, and the module that it belongs to."""
    holder, _, tensor = prefix.rpartition("parametrizations.")
    return tensor, dict(walk(model))[holder.removesuffix(".")]


def _settings(rule: GroupRuleCfg | None, role: Role, lr: float, weight_decay: float, cfg: ParamGroupsCfg) -> _Settings:
    by_role = weight_decay if role in cfg.decay_roles else 0.0
    if rule is None:
        return _Settings("decay" if role in cfg.decay_roles else "no_decay", lr, by_role, 0, None)
    own = by_role if rule.weight_decay is None else rule.weight_decay
    return _Settings(rule.name, lr * rule.lr_mult, own, rule.freeze_steps, rule.optimizer)


def _rule(
    names: list[_Found], cfg: ParamGroupsCfg, lr: float, weight_decay: float, used: set[str]
) -> GroupRuleCfg | None:
    """The rule that takes a parameter; of a tied one's names, those that no rule takes leave it to the others."""
    taken = [(found, rule) for found in names if (rule := _first(cfg.rules, found)) is not None]
    used.update(rule.name for _, rule in taken)
    wanted = [_settings(rule, role, lr, weight_decay, cfg)[1:] for (_, _, _, role), rule in taken]
    for ((name, *_), rule), one in zip(taken, wanted, strict=True):
        if one != wanted[0]:
            (first, *_), its_rule = taken[0]
            raise ConfigError(
                f"{first} and {name} are one tied parameter, but rule {its_rule.name!r} takes the first "
                f"and rule {rule.name!r} the second",
                hint="let one rule match both names",
            )
    return taken[0][1] if taken else None


def _first(rules: tuple[GroupRuleCfg, ...], found: _Found) -> GroupRuleCfg | None:
    return next((rule for rule in rules if _meets(rule, found)), None)


def _meets(rule: GroupRuleCfg, found: _Found) -> bool:
    name, _, owner, role = found
    return (
        (rule.match is None or re.search(rule.match, name) is not None)
        and (not rule.types or any(base.__name__ in rule.types for base in type(owner).__mro__))
        and (not rule.roles or role in rule.roles)
    )


def _refuse_unused(rules: list[GroupRuleCfg], firsts: list[_Found]) -> None:
    if not rules:
        return
    rule = rules[0]
    if any(_meets(rule, found) for found in firsts):
        raise ConfigError(
            f"rule {rule.name!r} takes no parameter: earlier rules take all it matches", hint="move it further up"
        )
    asked: list[tuple[str, Iterable[str]]] = (
        [(rule.match, [name for name, *_ in firsts])] if rule.match is not None else []
    )
    asked += [
        (name, {base.__name__ for _, _, owner, _ in firsts for base in type(owner).__mro__}) for name in rule.types
    ]
    asked += [(role, {found[3] for found in firsts}) for role in rule.roles]
    hints = "; ".join(f"{given!r}: {textwrap.shorten(did_you_mean(given, legal), 200)}" for given, legal in asked)
    raise ConfigError(
        f"rule {rule.name!r} matches no trainable parameter", hint=hints or "the model has no trainable parameter"
    )
