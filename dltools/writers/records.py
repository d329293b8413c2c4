"""What travels from a loop to its backends: frozen records, with checked names and steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dltools.errors import ConfigError

Value: TypeAlias = "float | int | bool | np.number | Tensor"
"""A number that a loop may log; a tensor is 0-d, on any device."""
Setting: TypeAlias = float | int | str | None
"""One hyperparameter, flattened."""

LAST_STEP = 2**63 - 1
RESERVED = ("step", "time")


@dataclass(frozen=True, slots=True)
class Record:
    """One call of a loop: what the step counts stands in ``axis``; ``time`` is Unix seconds at the call."""

    step: int
    axis: str
    time: float


@dataclass(frozen=True, slots=True)
class Scalars(Record):
    """The numbers of one call, on the host."""

    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Image(Record):
    """A picture: ``(H, W, 1|3|4)`` bytes, a file below the run's folder, or both."""

    name: str
    pixels: NDArray[np.uint8] | None = field(default=None, compare=False)
    file: str | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Hist(Record):
    """A histogram: ``len(counts) + 1`` edges, and moments of the finite values."""

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float
    sum_sq: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Text(Record):
    """A text, Markdown where the backend shows it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Params(Record):
    """Hyperparameters, flattened with dots, and the metrics they are judged by; of the run, not of a step."""

    params: Mapping[str, Setting]
    metrics: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Artifact(Record):
    """A file or folder that the run made."""

    name: str
    path: str
    kind: str = "file"


KINDS: dict[str, type[Record]] = {
    "scalars": Scalars,
    "image": Image,
    "text": Text,
    "hist": Hist,
    "params": Params,
    "artifact": Artifact,
}
"""The name of each kind of record in the journal."""
ALL_KINDS = frozenset(KINDS.values())


def check_step(step: object) -> int:
    """The step as a Python integer; a ConfigError unless it is an int or a numpy integer >= 0."""
    if isinstance(step, (bool, np.bool_)) or not isinstance(step, (int, np.integer)) or not 0 <= step <= LAST_STEP:
        raise ConfigError(f"step is {step!r}", expected="an int from 0 to 2**63 - 1")
    return int(step)


def check_name(name: object, what: str = "name") -> str:
    """The name; a ConfigError if it is empty, no string, or holds control characters."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{what} is {name!r}", expected="a non-empty string; '/' makes groups")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise ConfigError(f"{what} is {name!r}", expected="no control characters and no lone surrogates")
    return name


def check_key(key: object) -> str:
    """The name of a metric; a ConfigError also where it is one that the journal keeps for itself."""
    name = check_name(key, "metric name")
    if name in RESERVED or name.startswith("_"):
        raise ConfigError(
            f"metric name {name!r} is reserved", expected="none of step, time, _*", hint=f"call it 'x/{name}'"
        )
    return name


def check_text(text: object, what: str) -> str:
    """The text; a ConfigError unless it is a string that UTF-8 can hold."""
    if not isinstance(text, str) or any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise ConfigError(f"{what} is {text!r:.80}", expected="a string without lone surrogates")
    return text


def to_float(value: float) -> float:
    """A number as a float; an integer too large for one is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
