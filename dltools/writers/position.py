"""How much of a backend's file is in it for sure, and of the journal: what the next process cuts it to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dltools.writers.disk import publish
from dltools.writers.logbook import Logbook


@dataclass(frozen=True)
class Position:
    """Kept beside the file, and replaced whole."""

    file: str
    length: int
    journal: int | None = None
    """Where the journal's first record begins that is not in the file; None if it was written without a journal."""
    cuts: int = 0
    """Rewinds of the journal so far: another number, and offsets mean nothing any more."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the backend must not forget."""

    @classmethod
    def load(cls, path: Path) -> Position | None:
        """What was saved; None if nothing was, or nothing that makes sense."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write it to a file, which holds the old position or the new one at any time."""
        publish(path, json.dumps(asdict(self)).encode())

    def holds(self, file: Path, journal: Logbook) -> bool:
        """Whether file and journal are still those that it speaks of."""
        start = self.journal or 0
        return self.cuts == journal.cuts and start <= journal.end and self.length <= file.stat().st_size
