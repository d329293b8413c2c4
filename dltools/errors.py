"""What dltools raises: every error says what was given, what is legal, and one fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Self

Place = tuple[str, ...]
"""Where a value stands inside a config: field names, mapping keys, positions."""
SHOWN = 24
"""Legal names that an error lists at most."""


class DltoolsError(Exception):
    """Base of all errors of dltools.

    The message is made of up to three sentences, so that none is forgotten:

    >>> print(DltoolsError("window is 0", expected="an integer >= 1", hint="use window=1 for no accumulation"))
    window is 0. Expected an integer >= 1. Hint: use window=1 for no accumulation.
    """

    def __init__(self, given: str, expected: str = "", hint: str = "") -> None:
        self.given: str = given
        self.expected: str = expected
        self.hint: str = hint
        sentences = [given, expected and f"Expected {expected}", hint and f"Hint: {hint}"]
        text = ". ".join(s.rstrip(".") for s in sentences if s)
        super().__init__(text + "." if (expected or hint) and not text.endswith("?") else text)

    def __reduce__(self) -> tuple[type[DltoolsError], tuple[str, str, str], dict[str, Any]]:
        return type(self), (self.given, self.expected, self.hint), self.__dict__  # notes too


class ConfigError(DltoolsError, ValueError):
    """A config, or a value that stands for one, is not legal."""


class ConfigProblems(ConfigError):
    """Every mistake of a config in one error."""

    problems: Mapping[Place, str]
    """What is wrong, by path."""

    @classmethod
    def at(cls, title: str, problems: Mapping[Place, str], where: Mapping[Place, str] | None = None) -> Self:
        """``train.yaml:6: loss.alpha: ...``, with the line of the longest known part of each path."""
        known, lines = {(): title, **(where or {})}, []
        for path, text in problems.items():
            line = next(known[path[:n]] for n in range(len(path), -1, -1) if path[:n] in known)
            lines.append(": ".join(part for part in (line, ".".join(path), text) if part))
        made = cls("\n".join(lines))
        made.problems = problems
        return made


class ShapeError(DltoolsError, ValueError):
    """Arrays or tensors of the wrong shape or dtype."""


class SyncError(DltoolsError):
    """The processes of a group disagree, or one of them stays away."""


class CheckpointError(DltoolsError):
    """A checkpoint cannot be written, read or trusted."""


class ExportError(DltoolsError):
    """A model cannot be exported, or its export computes something else."""


class MissingExtraError(DltoolsError, ImportError):
    """An optional dependency is not installed.

    >>> raise MissingExtraError("matplotlib", "plot")
    Traceback (most recent call last):
    dltools.errors.MissingExtraError: matplotlib is not installed. Hint: pip install "dltools[plot]".
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package: str = package
        self.extra: str = extra
        super().__init__(f"{package} is not installed", hint=f'pip install "dltools[{extra}]"')

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str], dict[str, Any]]:  # type: ignore[override]
        return type(self), (self.package, self.extra), self.__dict__


def did_you_mean(name: str, legal: Iterable[str]) -> str:
    """The tail of an error about a name: the nearest legal one, else all of them, or the first ``SHOWN``.

    >>> did_you_mean("alhpa", ["alpha", "beta"])
    "did you mean 'alpha'?"
    >>> did_you_mean("x", ["beta", "alpha"])
    'known: alpha, beta'
    >>> did_you_mean("x", map(str, range(100, 200)))[-21:]
    '122, 123, and 76 more'
    """
    names = sorted(set(legal))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names[:SHOWN]) or 'none'}{more}"
