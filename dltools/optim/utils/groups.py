"""Parameter groups: which parameter gets which learning rate and weight decay, and why."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal, NamedTuple

from torch import nn

from dltools.cfgutils.annotations import NonNegative, NonNegativeInt, Unit
from dltools.cfgutils.record import Record
from dltools.errors import ConfigError, did_you_mean
from dltools.optim.utils.layers import layer_depths
from dltools.optim.utils.names import check_regex
from dltools.optim.utils.roles import Role
from dltools.optim.utils.trainable import Found, Trainable


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


class GroupRow(NamedTuple):
    """What one parameter gets: its role, the name of the rule that took it, its learning rate and weight decay."""

    role: Role
    rule: str | None
    lr: float
    weight_decay: float


class ParamGroups(list[dict[str, Any]]):
    """Groups as torch's optimizers take them, and a row per parameter that says why."""

    def __init__(
        self, groups: Iterable[dict[str, Any]], names: list[str], kinds: list[Any], row_of: dict[Any, GroupRow]
    ):
        super().__init__(groups)
        self._names, self._kinds, self._row_of = names, kinds, row_of

    @cached_property
    def rows(self) -> dict[str, GroupRow]:
        """What each parameter gets, by name; made when somebody asks, for an optimizer does not."""
        return dict(zip(self._names, map(self._row_of.__getitem__, self._kinds), strict=True))

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
    found = Trainable(model)
    depths = {} if cfg.layer_decay is None else layer_depths(model, found.names)
    top, keep = max(depths.values(), default=0), 1.0 if cfg.layer_decay is None else cfg.layer_decay
    names = _rules(found, cfg, weight_decay) if cfg.rules else [None] * len(found.names)
    kinds: list[Any] = found.roles
    is_plain = not (cfg.rules or depths)
    if not is_plain:
        kinds = [(*one, depths.get(name, top)) for name, *one in zip(found.names, names, found.roles, strict=True)]
    rules: dict[Any, GroupRuleCfg] = {rule.name: rule for rule in cfg.rules}
    groups: dict[_Settings, list[nn.Parameter]] = {}
    into: dict[Any, list[nn.Parameter]] = {}
    rows: dict[Any, GroupRow] = {}
    for kind in dict.fromkeys(kinds):
        rule, role, depth = (None, kind, top) if is_plain else kind
        settings = _settings(rules.get(rule), role, lr * keep ** (top - depth), weight_decay, cfg)
        into[kind] = groups.setdefault(settings, [])
        rows[kind] = GroupRow(role, rule, settings.lr, settings.weight_decay)
    for param, members in zip(found.params, map(into.__getitem__, kinds), strict=True):
        members.append(param)
    return ParamGroups(({"params": g, **_told(settings)} for settings, g in groups.items()), found.names, kinds, rows)


def _rules(found: Trainable, cfg: ParamGroupsCfg, weight_decay: float) -> list[str | None]:
    """The name of the rule of each parameter."""
    used: set[str] = set()
    names = [_rule(found.all_names(i), cfg, weight_decay, used) for i in range(len(found.names))]
    if cfg.on_unused_rule == "error":
        _refuse_unused([rule for rule in cfg.rules if rule.name not in used], found)
    return names


def _told(settings: _Settings) -> dict[str, Any]:
    told = settings._asdict()
    return told if settings.optimizer is not None else {k: x for k, x in told.items() if k != "optimizer"}


def _settings(rule: GroupRuleCfg | None, role: Role, lr: float, weight_decay: float, cfg: ParamGroupsCfg) -> _Settings:
    by_role = weight_decay if role in cfg.decay_roles else 0.0
    if rule is None:
        return _Settings("decay" if role in cfg.decay_roles else "no_decay", lr, by_role, 0, None)
    own = by_role if rule.weight_decay is None else rule.weight_decay
    return _Settings(rule.name, lr * rule.lr_mult, own, rule.freeze_steps, rule.optimizer)


def _rule(names: list[Found], cfg: ParamGroupsCfg, weight_decay: float, used: set[str]) -> str | None:
    """The rule that takes a parameter, by name; a tied one's names that no rule takes leave it to the others."""
    taken = [(found, rule) for found in names if (rule := _first(cfg.rules, found)) is not None]
    used.update(rule.name for _, rule in taken)
    wanted = [_settings(rule, role, 1.0, weight_decay, cfg)[1:] for (_, _, role), rule in taken]
    for ((name, *_), rule), one in zip(taken, wanted, strict=True):
        if one != wanted[0]:
            (first, *_), its_rule = taken[0]
            raise ConfigError(
                f"{first} and {name} are one tied parameter, but rule {its_rule.name!r} takes the first "
                f"and rule {rule.name!r} the second",
                hint="let one rule match both names",
            )
    return taken[0][1].name if taken else None


def _first(rules: tuple[GroupRuleCfg, ...], found: Found) -> GroupRuleCfg | None:
    return next((rule for rule in rules if _meets(rule, found)), None)


def _meets(rule: GroupRuleCfg, found: Found) -> bool:
    name, owner, role = found
    return (
        (rule.match is None or re.search(rule.match, name) is not None)
        and (not rule.types or any(base.__name__ in rule.types for base in type(owner).__mro__))
        and (not rule.roles or role in rule.roles)
    )


def _refuse_unused(rules: list[GroupRuleCfg], found: Trainable) -> None:
    if not rules:
        return
    rule, firsts = rules[0], list(zip(found.names, found.owners, found.roles, strict=True))
    if any(_meets(rule, first) for first in firsts):
        raise ConfigError(
            f"rule {rule.name!r} takes no parameter: earlier rules take all it matches", hint="move it further up"
        )
    asked: list[tuple[str, Iterable[str]]] = [(rule.match, found.names)] if rule.match is not None else []
    types = {base.__name__ for owner in found.owners for base in type(owner).__mro__}
    asked += [(name, types) for name in rule.types]
    asked += [(role, set(found.roles)) for role in rule.roles]
    hints = "; ".join(f"{given!r}: {textwrap.shorten(did_you_mean(given, legal), 200)}" for given, legal in asked)
    raise ConfigError(
        f"rule {rule.name!r} matches no trainable parameter", hint=hints or "the model has no trainable parameter"
    )
