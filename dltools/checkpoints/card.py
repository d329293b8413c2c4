"""What a checkpoint says of itself, and where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dltools.errors import CheckpointError, ConfigError
from dltools.meters.report import Report


@dataclass(frozen=True)
class Card:
    """What a checkpoint is worth: the metrics with which it was saved, each with its direction."""

    metrics: Report = field(default_factory=lambda: Report({}))
    """Values as saved, non-finite ones too; ``metrics.higher`` says of a name whether more is better."""
    tags: tuple[str, ...] = ()
    created: str = ""
    """UTC, ISO 8601."""

    @classmethod
    def of(cls, metrics: Mapping[str, float], tags: Sequence[str] = ()) -> Card:
        """The card of now; a ConfigError says which metric is no number."""
        values = {str(name): _number(name, value) for name, value in metrics.items()}
        higher = {name: way for name, way in getattr(metrics, "higher", {}).items() if name in values}
        if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
            raise ConfigError(f"tags {tags!r}", expected="a sequence of str")
        return cls(Report(values, higher=higher), tuple(tags), datetime.now(UTC).isoformat(timespec="seconds"))

    def tree(self) -> dict[str, Any]:
        """What the file says."""
        higher = dict(self.metrics.higher)
        return {"metrics": dict(self.metrics), "higher": higher, "tags": list(self.tags), "created": self.created}

    @classmethod
    def from_tree(cls, said: Any, where: str) -> Card:
        """The card that a file tells of."""
        keys = {"metrics": dict, "higher": dict, "tags": list, "created": str}
        if not isinstance(said, dict) or {key: type(value) for key, value in said.items()} != keys:
            raise CheckpointError(f"{where} is no card", expected=f"the keys {', '.join(keys)}")
        values, higher, tags = said["metrics"], said["higher"], said["tags"]
        good = all(type(value) is float for value in values.values()) and all(type(tag) is str for tag in tags)
        if not good or not all(way is None or type(way) is bool for way in higher.values()):
            raise CheckpointError(f"{where} is no card", expected="numbers, directions and texts")
        return cls(Report(values, higher=higher), tuple(tags), said["created"])


@dataclass(frozen=True)
class Ref:
    """A checkpoint that is there; stands for its path wherever one is taken."""

    path: Path
    step: int
    serial: int
    """Counts the saves of a store."""
    card: Card = field(compare=False)

    @property
    def metrics(self) -> Report:
        """The values with which it was saved."""
        return self.card.metrics

    @property
    def tags(self) -> tuple[str, ...]:
        """What its saver called it."""
        return self.card.tags

    @property
    def age(self) -> tuple[int, int, str]:
        """The newest has the highest."""
        return self.step, self.serial, self.path.name

    def __fspath__(self) -> str:
        return str(self.path)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"metric {name!r} is {value!r}", expected="a number") from error
