"""What configs hold, as trees, and search spaces, which stand for values until a search draws them."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, ClassVar, TypeVar, cast

from dltools._plain import freeze, source
from dltools.errors import ConfigError, did_you_mean

V = TypeVar("V")
C = TypeVar("C")
LEGAL = {
    "uniform": "two finite numbers, low < high",
    "loguniform": "two finite numbers, 0 < low < high",
    "integers": "two integers, low <= high",
    "choice": "at least one option",
    "grid": "at least one option",
}
"""The kinds of search spaces, and what each takes."""


def values(value: Any) -> Mapping[Any, Any]:
    """What a record or a container holds, by the next step of its path; nothing of all else."""
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    if hasattr(value, "is_open"):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value if isinstance(value, Mapping) else {}


@dataclasses.dataclass(frozen=True, repr=False)
class Space:
    """A set of values: for a range ``args`` holds both ends, for a choice or grid its options."""

    kind: str
    args: tuple[Any, ...]
    is_open: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.kind not in LEGAL:
            raise ConfigError(f"unknown search space {self.kind!r}", hint=did_you_mean(self.kind, LEGAL))
        args = freeze(self.args, [])
        object.__setattr__(self, "args", args)
        types, floor = set(map(type, args)), 0 if self.kind == "loguniform" else -math.inf
        if self.kind in ("choice", "grid"):
            is_legal = len(args) > 0
        elif self.kind == "integers":
            is_legal = len(args) == 2 and types == {int} and args[0] <= args[1]
        else:
            is_legal = len(args) == 2 and types <= {int, float} and floor < args[0] < args[1] < math.inf
        if not is_legal:
            raise ConfigError(f"{self} is empty or no range", expected=LEGAL[self.kind])
        if self.kind in ("uniform", "loguniform"):
            object.__setattr__(self, "args", tuple(map(float, args)))

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(source, self.args))})"

    def options(self) -> dict[Any, Any]:
        """Each option by its label: a config's tag (then ``tag#2``), else itself; a range has none."""
        made: dict[Any, Any] = {}
        for option in self.args if self.kind in ("choice", "grid") else ():
            tag = getattr(type(option), "tag", "")
            made[option if not tag else f"{tag}#{len(made) + 1}" if tag in made else tag] = option
        return made

    def draw(self, *address: object) -> Any:
        """One value (an option's label), the same for the same address in every process and every run."""
        generator = random.Random(repr(address))
        if options := self.options():
            return generator.choice(list(options))
        low, high = self.args
        if self.kind == "integers":
            return generator.randint(low, high)
        to, back = (math.log, math.exp) if self.kind == "loguniform" else (float, float)
        return min(max(back(generator.uniform(to(low), to(high))), low), high)


def to_tree(value: Any, *, spaces: bool = True) -> Any:
    """Plain dicts, lists and scalars; ``spaces=False`` leaves search spaces as they are."""
    if isinstance(value, Space):
        return {f"${value.kind}": [to_tree(arg) for arg in value.args]} if spaces else value
    made = {key: to_tree(part, spaces=spaces) for key, part in values(value).items()}
    if isinstance(value, (list, tuple)):
        return list(made.values())
    if isinstance(value, Mapping) or hasattr(value, "is_open"):
        return {"type": tag, **made} if (tag := getattr(value, "tag", "")) else made
    return value.value if isinstance(value, Enum) else str(value) if isinstance(value, PurePath) else value


def uniform(low: float, high: float) -> float:
    """Any number between both ends, all equally likely."""
    return cast(float, Space("uniform", (low, high)))


def loguniform(low: float, high: float) -> float:
    """Any number between both ends, all magnitudes equally likely."""
    return cast(float, Space("loguniform", (low, high)))


def integers(low: int, high: int) -> int:
    """Any integer from ``low`` to ``high``, both included."""
    return cast(int, Space("integers", (low, high)))


def choice(*options: V) -> V:
    """One of the options: values, or configs with spaces of their own."""
    return cast(V, Space("choice", options))


def grid(*options: V) -> V:
    """Every one of the options in turn, where the search can; else one of them."""
    return cast(V, Space("grid", options))


def space(cfg: object) -> dict[str, Space]:
    """Every space by path; those inside an option of a choice stand behind its tag: ``optim[AdamW].lr``."""
    return dict(_spaces(cfg, ""))


def _spaces(value: Any, name: str) -> Iterator[tuple[str, Space]]:
    if isinstance(value, Space):
        yield name, value
        inner = {f"{name}[{label}]": option for label, option in value.options().items()}
    else:
        inner = {f"{name}.{step}".lstrip("."): part for step, part in values(value).items()}
    for path, part in inner.items():
        yield from _spaces(part, path)


def sample(cfg: C, seed: int) -> C:
    """A config drawn at random: the same for the same seed, whatever other spaces there are."""
    return resolve(cfg, {name: one.draw(seed, name) for name, one in space(cfg).items()})


def resolve(cfg: C, sampled: Mapping[str, Any]) -> C:
    """The config with a drawn value in the place of each space; those of branches not taken are ignored.

    A choice takes an option, or its label: a config's tag.
    """
    known = space(cfg)
    if unknown := [name for name in sampled if name not in known]:
        raise ConfigError(f"no search space {unknown[0]!r}", hint=did_you_mean(unknown[0], known))
    return cast(C, _resolve(cfg, "", sampled))


def _resolve(value: Any, name: str, sampled: Mapping[str, Any]) -> Any:
    if isinstance(value, Space):
        if name not in sampled:
            raise ConfigError(f"no value for the search space {name!r}", expected=repr(value))
        drawn, options = sampled[name], value.options()
        for label, option in options.items():
            if drawn in (label, option):
                return _resolve(option, f"{name}[{label}]", sampled)
        if options:
            raise ConfigError(f"{name} is {drawn!r}", expected=f"one of {', '.join(map(repr, options))}")
        return drawn
    made = {step: _resolve(part, f"{name}.{step}".lstrip("."), sampled) for step, part in values(value).items()}
    if getattr(value, "is_open", False):
        return type(value)(**made)
    return made if isinstance(value, Mapping) else tuple(made.values()) if isinstance(value, tuple) else value
