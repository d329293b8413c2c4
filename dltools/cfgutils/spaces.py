"""Search spaces: values that stand in a config's field until a search draws them.

They are checked where they are written, dump to files, and need no search library.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar, cast, get_args

from dltools.cfgutils.frozen import freeze, source
from dltools.errors import ConfigError

T = TypeVar("T")
Kind = Literal["uniform", "loguniform", "integers", "choice", "grid"]
KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}


@dataclass(frozen=True, repr=False)
class Space:
    """A set of values: for a range ``args`` holds both ends, for a choice or grid its options."""

    kind: Kind
    args: tuple[Any, ...]
    is_open: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", freeze(self.args, []))
        if self.kind in ("choice", "grid"):
            if not self.args:
                raise ConfigError(f"{self} has no options", expected="at least one")
            return
        legal = (int,) if self.kind == "integers" else (int, float)
        if len(self.args) != 2 or any(type(end) not in legal or not math.isfinite(end) for end in self.args):
            numbers = "integers" if self.kind == "integers" else "finite numbers"
            raise ConfigError(f"{self} is no range", expected=f"{self.kind}(low, high) of {numbers}")
        low, high = self.args
        if low > high or (low == high and self.kind != "integers"):
            raise ConfigError(f"{self} is empty", expected="low < high")
        if self.kind == "loguniform" and low <= 0:
            raise ConfigError(f"{self} reaches {low}", expected="low > 0")
        if self.kind != "integers":
            object.__setattr__(self, "args", (float(low), float(high)))

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(source, self.args))})"

    def options(self) -> list[tuple[Any, Any]]:
        """Each option behind its label: a config's tag (then ``tag#2``), else itself; a range has none."""
        seen: Counter[str | None] = Counter()
        made = []
        for option in self.args if self.kind in ("choice", "grid") else ():
            tag = getattr(type(option), "tag", None)
            seen[tag] += 1
            made.append((option if not tag else tag if seen[tag] == 1 else f"{tag}#{seen[tag]}", option))
        return made

    def draw(self, *address: object) -> Any:
        """One value (an option's label), the same for the same address in every process and every run."""
        digest = hashlib.blake2b(repr(address).encode(), digest_size=8).digest()
        generator = random.Random(int.from_bytes(digest, "big"))
        if options := self.options():
            return generator.choice(options)[0]
        low, high = self.args
        if self.kind == "integers":
            return generator.randint(low, high)
        if self.kind == "uniform":
            return min(max(generator.uniform(low, high), low), high)
        return min(max(math.exp(generator.uniform(math.log(low), math.log(high))), low), high)


def uniform(low: float, high: float) -> float:
    """Any number between both ends, all equally likely."""
    return cast(float, Space("uniform", (low, high)))


def loguniform(low: float, high: float) -> float:
    """Any number between both ends, all magnitudes equally likely."""
    return cast(float, Space("loguniform", (low, high)))


def integers(low: int, high: int) -> int:
    """Any integer from ``low`` to ``high``, both included."""
    return cast(int, Space("integers", (low, high)))


def choice(*options: T) -> T:
    """One of the options: values, or configs with spaces of their own."""
    return cast(T, Space("choice", options))


def grid(*options: T) -> T:
    """Every one of the options in turn, where the search can; else one of them."""
    return cast(T, Space("grid", options))
