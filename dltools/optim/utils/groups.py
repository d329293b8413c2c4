"""Parameter groups: which parameter gets which learning rate and weight decay, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from dltools.cfgutils.annotations import NonNegative, NonNegativeInt, Unit
from dltools.cfgutils.record import Record
from dltools.errors import ConfigError, did_you_mean
from dltools.optim.utils.layers import layer_depths
from dltools.optim.utils.names import walk
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
    weight_decay: NonNegative | None = None
    """In place of the optimizer's; None: by role."""
    freeze_steps: NonNegativeInt = 0
    """The group's learning rate is 0 for so many updates."""

    def __post_init__(self) -> None:
        try:
            re.compile(self.match or "")
        except re.error as error:
            raise ConfigError(f"match {self.match!r} is no regular expression: {error}") from None


class ParamGroupsCfg(Record):
    """How the parameters of a model are grouped."""

    rules: tuple[GroupRuleCfg, ...] = ()
    decay_roles: tuple[Role, ...] = ("weight", "embedding")
    """Roles that get weight decay; the others get none."""
    layer_decay: Unit | None = None
    """Each layer's learning rate is this share of the next one's."""
    on_unused_rule: Literal["error", "ignore"] = "error"
    """What a rule that takes no parameter is."""

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"two rules are called {sorted(twice)[0]!r}", hint="give each rule its own name")


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
        self.rows = rows

    def explain(self) -> str:
        """A table with a line per parameter, for people."""
        lines = [("parameter", "role", "rule", "lr", "weight_decay")]
        lines += [(n, r.role, r.rule or "-", f"{r.lr:g}", f"{r.weight_decay:g}") for n, r in self.rows.items()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


class _Found(NamedTuple):
    """A parameter under one of its names."""

    name: str
    param: nn.Parameter
    owner: nn.Module
    role: Role


class _Settings(NamedTuple):
    """What is equal for all parameters of a group."""

    name: str
    lr: float
    weight_decay: float
    freeze_steps: int


def param_groups(
    model: nn.Module, *, lr: float, weight_decay: float, cfg: ParamGroupsCfg | None = None
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

    Raises ConfigError for a rule that takes no parameter, and for rules that would treat the names of a tied parameter differently.
    """
    cfg = cfg or ParamGroupsCfg()
    names: dict[int, list[_Found]] = {}
    for found in _trainable(model):
        names.setdefault(id(found.param), []).append(found)
    firsts = [ties[0] for ties in names.values()]
    depths = layer_depths(model, [found.name for found in firsts]) if cfg.layer_decay is not None else {}
    top, decay = max(depths.values(), default=0), 1.0 if cfg.layer_decay is None else cfg.layer_decay
    groups: dict[_Settings, list[nn.Parameter]] = {}
    rows, used = {}, set[str]()
    for ties in names.values():
        first = ties[0]
        rule = _rule(ties, cfg)
        settings = _settings(rule, first.role, lr * decay ** (top - depths.get(first.name, top)), weight_decay, cfg)
        groups.setdefault(settings, []).append(first.param)
        rows[first.name] = GroupRow(first.role, rule and rule.name, settings.lr, settings.weight_decay)
        used.add(rule.name if rule else "")
    if cfg.on_unused_rule == "error":
        _refuse_unused([rule for rule in cfg.rules if rule.name not in used], firsts)
    return ParamGroups(({"params": params, **settings._asdict()} for settings, params in groups.items()), rows)


def _trainable(model: nn.Module) -> Iterator[_Found]:
    modules: dict[str, nn.Module] = {}
    for prefix, module in walk(model):
        modules[prefix] = module
        holder, _, key_there = prefix.rpartition("parametrizations.")
        for key, param in module._parameters.items():
            if param is None or not param.requires_grad:
                continue
            name = f"{prefix}.{key}" if prefix else key
            if is_lazy(param):
                raise ConfigError(f"{name} has no shape yet", hint="run one forward pass before building the optimizer")
            if isinstance(module, ParametrizationList):
                owner = modules[holder.removesuffix(".")]
                yield _Found(name, param, owner, parametrised_role(owner, key_there, module, param))
            else:
                yield _Found(name, param, module, role_of(module, key, param))


def _settings(rule: GroupRuleCfg | None, role: Role, lr: float, weight_decay: float, cfg: ParamGroupsCfg) -> _Settings:
    by_role = weight_decay if role in cfg.decay_roles else 0.0
    if rule is None:
        return _Settings("decay" if role in cfg.decay_roles else "no_decay", lr, by_role, 0)
    own = by_role if rule.weight_decay is None else rule.weight_decay
    return _Settings(rule.name, lr * rule.lr_mult, own, rule.freeze_steps)


def _rule(ties: list[_Found], cfg: ParamGroupsCfg) -> GroupRuleCfg | None:
    """The rule that takes a parameter; of a tied one's names, those that no rule takes leave it to the others."""
    if not cfg.rules:
        return None
    taken = [(found.name, rule) for found in ties if (rule := _first(cfg.rules, found)) is not None]
    for name, rule in taken[1:]:
        if _settings(rule, ties[0].role, 1.0, 1.0, cfg)[1:] != _settings(taken[0][1], ties[0].role, 1.0, 1.0, cfg)[1:]:
            raise ConfigError(
                f"{taken[0][0]} and {name} are one tied parameter, but rule {taken[0][1].name!r} takes the first "
                f"and rule {rule.name!r} the second",
                hint="let one rule match both names",
            )
    return taken[0][1] if taken else None


def _first(rules: tuple[GroupRuleCfg, ...], found: _Found) -> GroupRuleCfg | None:
    return next((rule for rule in rules if _meets(rule, found)), None)


def _meets(rule: GroupRuleCfg, found: _Found) -> bool:
    return (
        (rule.match is None or re.search(rule.match, found.name) is not None)
        and (not rule.types or any(base.__name__ in rule.types for base in type(found.owner).__mro__))
        and (not rule.roles or found.role in rule.roles)
    )


def _refuse_unused(rules: list[GroupRuleCfg], firsts: list[_Found]) -> None:
    if not rules:
        return
    rule = rules[0]
    if any(_meets(rule, found) for found in firsts):
        raise ConfigError(
            f"rule {rule.name!r} takes no parameter: earlier rules take all it matches", hint="move it further up"
        )
    asked: list[tuple[str, Iterable[str]]] = [(rule.match, [f.name for f in firsts])] if rule.match is not None else []
    asked += [(name, {base.__name__ for f in firsts for base in type(f.owner).__mro__}) for name in rule.types]
    asked += [(role, {f.role for f in firsts}) for role in rule.roles]
    hints = "; ".join(f"{given!r}: {did_you_mean(given, legal)}" for given, legal in asked)
    raise ConfigError(
        f"rule {rule.name!r} matches no trainable parameter", hint=hints or "the model has no trainable parameter"
    )
