"""The search spaces of a config: list them, put drawn values in their places, draw without any search library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from dltools.cfgutils.record import Record, values
from dltools.cfgutils.spaces import Space
from dltools.errors import ConfigError, did_you_mean

C = TypeVar("C", bound=Record)


def space(cfg: Record) -> dict[str, Space]:
    """Every space by path; those inside an option of a choice stand behind its tag: ``optim[AdamW].lr``."""
    return dict(_spaces(cfg, ""))


def resolve(cfg: C, sampled: Mapping[str, Any]) -> C:
    """The config with a drawn value in the place of each space.

    A choice takes the label of an option (a config's tag) or the option itself; values of branches not taken are
    ignored.
    """
    known = space(cfg)
    for name in sampled:
        if name not in known:
            raise ConfigError(f"no search space {name!r}", hint=did_you_mean(name, known))
    resolved: C = _resolve(cfg, "", sampled)
    return resolved


def sample(cfg: C, seed: int) -> C:
    """A config drawn at random: the same for the same seed, whatever other spaces there are."""
    return resolve(cfg, {name: one.draw(seed, name) for name, one in space(cfg).items()})


def _spaces(value: Any, name: str) -> Iterator[tuple[str, Space]]:
    if isinstance(value, Space):
        yield name, value
        for label, option in value.options():
            yield from _spaces(option, f"{name}[{label}]")
    for step, part in _parts(value).items():
        yield from _spaces(part, _join(name, step))


def _resolve(value: Any, name: str, sampled: Mapping[str, Any]) -> Any:
    if isinstance(value, Space):
        if name not in sampled:
            raise ConfigError(f"no value for the search space {name!r}", expected=repr(value))
        return _drawn(value, name, sampled)
    parts = {step: _resolve(part, _join(name, step), sampled) for step, part in _parts(value).items()}
    if isinstance(value, Record):
        return type(value)(**parts) if value.is_open else value
    if isinstance(value, Mapping):
        return parts
    return tuple(parts.values()) if isinstance(value, tuple) else value


def _drawn(one: Space, name: str, sampled: Mapping[str, Any]) -> Any:
    drawn, options = sampled[name], one.options()
    for label, option in options:
        if drawn in (label, option):
            return _resolve(option, f"{name}[{label}]", sampled)
    if options:
        legal = ", ".join(repr(label) for label, _ in options)
        raise ConfigError(f"{name} is {drawn!r}", expected=f"one of {legal}")
    return drawn


def _parts(value: Any) -> Mapping[Any, Any]:
    """What a record or a container holds, by the next step of its path; nothing of all else."""
    if isinstance(value, Record):
        return values(value)
    if isinstance(value, Mapping):
        return value
    return dict(enumerate(value)) if isinstance(value, tuple) else {}


def _join(name: str, step: object) -> str:
    return f"{name}.{step}" if name else str(step)
