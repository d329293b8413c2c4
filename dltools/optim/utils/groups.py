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
from dltools.optim.utils.roles import Role, parametrised_role, role_by_type, role_of


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


_Found: TypeAlias = tuple[str, nn.Module, Role]
"""A parameter under one of its names: name, the module that holds it, the role of its first name."""


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
    found = _Trainable(model)
    depths = {} if cfg.layer_decay is None else layer_depths(model, found.names)
    top, keep = max(depths.values(), default=0), 1.0 if cfg.layer_decay is None else cfg.layer_decay
    groups: dict[_Settings, list[nn.Parameter]] = {}
    made: dict[Any, tuple[list[nn.Parameter], GroupRow]] = {}
    rows: dict[str, GroupRow] = {}
    used: set[str] = set()
    is_plain = not (depths or cfg.rules)
    depth, base, rule = top, lr, None
    for i, (name, param, role) in enumerate(zip(found.names, found.params, found.roles, strict=True)):
        if not is_plain:
            depth = depths.get(name, top)
            base = lr * keep ** (top - depth)
            rule = _rule(found.all_names(i), cfg, base, weight_decay, used)
        kind = role if is_plain else (rule, role, depth)
        if kind not in made:
            settings = _settings(rule, role, base, weight_decay, cfg)
            row = GroupRow(role, None if rule is None else rule.name, settings.lr, settings.weight_decay)
            made[kind] = groups.setdefault(settings, []), row
        params, rows[name] = made[kind]
        params.append(param)
    if cfg.on_unused_rule == "error":
        _refuse_unused([rule for rule in cfg.rules if rule.name not in used], found)
    return ParamGroups(({"params": params, **_told(settings)} for settings, params in groups.items()), rows)


def _told(settings: _Settings) -> dict[str, Any]:
    told = settings._asdict()
    return told if settings.optimizer is not None else {k: x for k, x in told.items() if k != "optimizer"}


class _Trainable:
    """Each trainable parameter once, in columns: an object for each would cost more than all the rest.

    They stand under their first names; further ones of tied parameters are kept by position.
    """

    def __init__(self, model: nn.Module) -> None:
        self.names: list[str] = []
        self.params: list[nn.Parameter] = []
        self.owners: list[nn.Module] = []
        self.roles: list[Role] = []
        self._ties: dict[int, list[tuple[str, nn.Module]]] = {}
        self._modules = walk(model)
        self._by_name: dict[str, nn.Module] = {}
        self._fill()
        if set(map(type, self.params)) != {nn.Parameter}:
            for name in (name for name, param in zip(self.names, self.params, strict=True) if is_lazy(param)):
                raise ConfigError(f"{name} has no shape yet", hint="run one forward pass before building the optimizer")

    def _fill(self) -> None:
        names, params, owners, roles = self.names, self.params, self.owners, self.roles
        seen: dict[int, int] = {}
        by_type: dict[type, dict[str, Any]] = {}
        for prefix, module in self._modules:
            if not (own := module._parameters):
                continue
            kind: Any = type(module)
            known = by_type.setdefault(kind, {})
            dotted = f"{prefix}." if prefix else ""
            for key, param in own.items():
                if param is None or not param.requires_grad:
                    continue
                if (first := seen.setdefault(id(param), len(names))) != len(names):
                    self._ties.setdefault(first, []).append((dotted + key, self._owner(prefix, module)))
                    continue
                role: Any = known.get(key)
                if role is None:
                    role = known[key] = role_by_type(kind, key)
                owner = module
                if role == "rank":
                    role = "weight" if param.ndim > 1 else "scale"
                elif role == "look":
                    owner, role = self._look(prefix, module, key, param)
                names.append(dotted + key)
                params.append(param)
                owners.append(owner)
                roles.append(role)

    def _owner(self, prefix: str, module: nn.Module) -> nn.Module:
        """The module that a parameter belongs to; of one that is parametrised, the module of the tensor itself."""
        if not isinstance(module, ParametrizationList):
            return module
        self._by_name = self._by_name or dict(self._modules)
        return self._by_name[prefix.rpartition("parametrizations.")[0].removesuffix(".")]

    def _look(self, prefix: str, module: nn.Module, key: str, param: nn.Parameter) -> tuple[nn.Module, Role]:
        """The owner, and the role where that takes a look at the tensor."""
        owner = self._owner(prefix, module)
        if is_lazy(param):
            return owner, "weight"
        if isinstance(module, ParametrizationList):
            return owner, parametrised_role(owner, prefix.rpartition(".")[2], module, param)
        return owner, role_of(owner, key, param)

    def all_names(self, i: int) -> list[_Found]:
        """A parameter under each of its names."""
        named = [(self.names[i], self.owners[i]), *self._ties.get(i, ())]
        return [(name, owner, self.roles[i]) for name, owner in named]


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
    wanted = [_settings(rule, role, lr, weight_decay, cfg)[1:] for (_, _, role), rule in taken]
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
    name, owner, role = found
    return (
        (rule.match is None or re.search(rule.match, name) is not None)
        and (not rule.types or any(base.__name__ in rule.types for base in type(owner).__mro__))
        and (not rule.roles or role in rule.roles)
    )


def _refuse_unused(rules: list[GroupRuleCfg], found: _Trainable) -> None:
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
