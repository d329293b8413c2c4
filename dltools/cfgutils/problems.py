"""What is wrong with a config, in words: path, value, what is legal, the nearest name."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from dltools.cfgutils.frozen import Path, dotted
from dltools.errors import ConfigError, did_you_mean

UNKNOWN = ("unexpected_keyword_argument", "unexpected_positional_argument")
MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")


class Problem(NamedTuple):
    """One mistake and its place."""

    path: Path
    text: str


class ConfigProblems(ConfigError):
    """Every mistake of a config in one error."""

    def __init__(self, title: str, problems: Iterable[Problem], where: Mapping[Path, str] | None = None) -> None:
        self.title: str = title
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.where: dict[Path, str] = dict(where or {})
        lines = [f"{_place(p.path, self.where, title)}: {p.text}" for p in self.problems]
        super().__init__("\n".join(dict.fromkeys(lines)))

    def __reduce__(self) -> Any:
        return type(self), (self.title, self.problems, self.where)


def refuse(text: str, *, missing: bool = False) -> PydanticCustomError:
    """The error that a validator of ours raises."""
    return PydanticCustomError("dltools", "{text}", {"text": text, "missing": missing})


def translate(error: ValidationError, given: Mapping[str, Any], names: Iterable[str]) -> ValidationError:
    """Pydantic's errors in our words, one per place; ``names`` are the legal keys of ``given``."""
    found: dict[Path, list[str]] = {}
    absent: set[Path] = set()
    for detail in error.errors(include_url=False):
        missing = detail["type"] in MISSING or detail.get("ctx", {}).get("missing", False)
        path = _real_path(detail["loc"], given, missing)
        found.setdefault(path, []).append(_text(detail, path, names))
        if missing:
            absent.add(path)
    inner = {
        path[:n] for path in found for n in range(len(path))
    }  # there the input was a mapping: no need to add that it is no number
    lines = [
        InitErrorDetails(type=refuse(" or ".join(dict.fromkeys(texts)), missing=path in absent), loc=path, input=None)
        for path, texts in found.items()
        if path not in inner
    ]
    return ValidationError.from_exception_data(error.title, lines)


def problems_of(error: ValidationError) -> list[Problem]:
    """The problems of a translated error."""
    return [Problem(detail["loc"], detail["msg"]) for detail in error.errors(include_url=False)]


def _text(detail: ErrorDetails, path: Path, names: Iterable[str]) -> str:
    cause = detail.get("ctx", {}).get("error")
    if detail["type"] in UNKNOWN:
        return f"unknown; {did_you_mean(str(path[-1]), names)}" if path else "takes its fields by name only"
    if detail["type"] in MISSING:
        return "required, but not given"
    if detail["type"] == "dltools":
        return detail["msg"]
    if isinstance(cause, Exception):
        return str(cause)
    return f"got {reprlib.repr(detail['input'])}; {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _real_path(loc: tuple[str | int, ...], given: Any, missing: bool) -> Path:
    """The location less the steps that pydantic adds for members of a union: the input does not have them."""
    path: list[str | int] = []
    for i, step in enumerate(loc):
        if _leads(given, step):
            given = given[step]
        elif not (missing and i == len(loc) - 1):
            continue
        path.append(step)
    return tuple(path)


def _leads(given: Any, step: str | int) -> bool:
    if isinstance(given, Mapping):
        return step in given
    return isinstance(given, (tuple, list)) and isinstance(step, int) and step < len(given)


def _place(path: Path, where: Mapping[Path, str], title: str) -> str:
    """``train.yaml:6: loss.alpha``: the line of the longest known part of the path."""
    known = next((where[path[:n]] for n in range(len(path), -1, -1) if path[:n] in where), title)
    return ": ".join(part for part in (known, dotted(path)) if part)
