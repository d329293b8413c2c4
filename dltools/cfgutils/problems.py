"""What is wrong with a config, in words: path, value, what is legal, the nearest name."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dltools.cfgutils.frozen import Path, dotted
from dltools.errors import ConfigError, did_you_mean


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
        super().__init__("\n".join(dict.fromkeys(map(self._line, self.problems))))

    def __reduce__(self) -> Any:
        return type(self), (self.title, self.problems, self.where)

    def _line(self, problem: Problem) -> str:
        """``train.yaml:6: loss.alpha: ...``: the line of the longest known part of the path."""
        path, text = problem
        known = next((self.where[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.where), self.title)
        return ": ".join(part for part in (known, dotted(path), text) if part)


def problems_of(error: ValidationError, given: Mapping[str, Any], names: Iterable[str]) -> list[Problem]:
    """Pydantic's errors in our words, one per place; ``names`` are the legal keys of ``given``."""
    found: dict[Path, list[str]] = {}
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        inner = cause.problems if isinstance(cause, ConfigProblems) else [Problem((), _text(detail, names))]
        place = _place(detail["loc"], given) if detail["type"] not in MISSING else detail["loc"]
        for path, text in inner:
            found.setdefault((*place, *path), []).append(text)
    mappings = {path[:n] for path in found for n in range(len(path))}  # no need to add that they are no numbers
    return [Problem(path, " or ".join(dict.fromkeys(texts))) for path, texts in found.items() if path not in mappings]


MISSING = ("missing", "missing_keyword_only_argument")


def _text(detail: ErrorDetails, names: Iterable[str]) -> str:
    if detail["type"] == "unexpected_keyword_argument":
        return f"unknown; {did_you_mean(str(detail['loc'][-1]), names)}"
    if detail["type"] in MISSING:
        return "required, but not given"
    if cause := detail.get("ctx", {}).get("error"):
        return str(cause)
    return f"got {reprlib.repr(detail['input'])}; {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _place(loc: Path, given: Any) -> Path:
    """The location less the steps that pydantic adds for members of a union: the input does not have them."""
    path: list[str | int] = []
    for step in loc:
        try:
            given = given[step]
        except (LookupError, TypeError):
            continue
        path.append(step)
    return tuple(path)
