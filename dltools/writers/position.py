"""How much of a backend's file is in it for sure, and of the journal: what the next process cuts it to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dltools.writers.logbook import Logbook


@dataclass(frozen=True)
class Position:
    """Kept beside the file, and replaced whole."""

    file: str
    length: int
    journal: int = 0
    """Where the journal's first record begins that is not in the file."""
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
        draft = path.with_name(f"{path.name}.draft")
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.replace(path)

    def holds(self, file: Path, journal: Logbook) -> bool:
        """Whether file and journal are still those that it speaks of."""
        return self.cuts == journal.cuts and self.journal <= journal.end and self.length <= file.stat().st_size
