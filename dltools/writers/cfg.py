"""What all writers share: options, what they learn when they are opened, and how they say that they are doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.cfgutils.config import Config
from dltools.writers.worker import State

if TYPE_CHECKING:
    from dltools.writers.logbook import Logbook
    from dltools.writers.pictures import Pictures

T_co = TypeVar("T_co", covariant=True)


class WriterCfg(Config[T_co]):
    """Options of every writer; a config of one names it, ``class CsvWriterCfg(WriterCfg["CsvWriter"])``."""

    ranks: Literal["zero", "all"] = "zero"
    """Which processes of a group write; inside a MultiWriter at most those that it writes on."""
    flush_secs: Positive = 1.0
    """Seconds between deliveries in the background."""
    max_pending: PositiveInt = 100_000
    """Records kept for a backend that is slow or away."""
    on_error: Literal["warn", "raise"] = "warn"
    """A backend that fails: warn once and try again, or raise at the next call."""

    def build(self) -> T_co:
        return self.product()(self)


@dataclass(frozen=True)
class RunInfo:
    """What a backend learns when it is opened."""

    dir: Path
    """The backend's own folder; not made yet."""
    rank: int = 0
    next: Mapping[str, int] = field(default_factory=dict)
    """Largest step so far + 1, by axis."""
    journal: Logbook | None = None
    """The run's journal, where there is one."""
    pictures: Pictures | None = None
    """The files of its pictures."""


@dataclass(frozen=True)
class Delivery:
    """How a backend is doing, in records."""

    state: State
    written: int = 0
    pending: int = 0
    dropped: int = 0
    error: str | None = None
