"""One writer for many: the journal first, then every backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dltools.cfgutils.config import build
from dltools.errors import ConfigError
from dltools.writers.base import Delivery, RunInfo, Writer, WriterCfg
from dltools.writers.jsonl import JsonlWriter, JsonlWriterCfg
from dltools.writers.records import Record


class MultiWriterCfg(WriterCfg["MultiWriter"]):
    dir: str = "runs/run"
    """The run's folder; the backends' own ``dir`` are below it."""
    journal: JsonlWriterCfg | None = JsonlWriterCfg()
    """Where every record goes first; None leaves it out, and with it completion after a crash."""
    writers: Mapping[str, WriterCfg[Any]] = {}
    """The backends, by the name that ``health()`` gives them."""

    def __post_init__(self) -> None:
        if "journal" in self.writers:
            raise ConfigError("writers has the name 'journal'", expected="another name: it is the journal's own")


class MultiWriter(Writer[MultiWriterCfg]):
    """Checks a call once, writes it to the journal, and hands it to each backend, which has its own thread.

    ``writers`` are the backends by name. With ``ranks="all"`` every rank writes a journal of its own, and has those
    backends whose ``ranks`` say so.

    >>> import tempfile
    >>> from dltools.writers.memory import MemoryWriterCfg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with MultiWriter(dir=folder, writers={"memory": MemoryWriterCfg()}) as writer:
    ...         writer.scalars({"loss": 0.5}, step=1)
    ...     {name: delivery.written for name, delivery in writer.health().items()}
    {'journal': 1, 'memory': 1}
    """

    def setup(self) -> None:
        self.journal: JsonlWriter | None = None
        self.writers: dict[str, Writer[Any]] = {name: build(cfg) for name, cfg in self.cfg.writers.items()}
        members = dict(self.writers)
        if self.cfg.journal is not None:
            ranks = {"ranks": "all"} if self.cfg.ranks == "all" else {}
            self.journal = build(self.cfg.journal.replace(**ranks))
            members["journal"] = self.journal
        for name, writer in members.items():
            writer.name, writer.notices = name, self.notices
        self._open: list[Writer[Any]] = []

    def open(self, run: RunInfo) -> Mapping[str, int]:
        if self.journal is not None:
            self.journal.start(run)
            run = self.journal.add_to(run)
        self._open = [writer for writer in self.writers.values() if writer.start(run)]
        return run.next

    def put(self, record: Record) -> None:
        kept = self.journal.keep(record) if self.journal is not None else record
        if kept is not None:
            for writer in self._open:
                writer.put(kept)

    def begin(self, status: str | None, deadline: float) -> None:
        for writer in self._members():
            writer.begin(status, deadline)

    def wait(self, deadline: float) -> None:
        for writer in self._members():
            writer.wait(deadline)

    def cut(self, following: Mapping[str, int]) -> None:
        """Backends hold no more than the journal: where it has nothing beyond, neither have they."""
        if self.journal is not None and self.journal.logbook is not None and not self.journal.logbook.rewind(following):
            return
        for writer in self._open:
            writer.cut(following)

    def run_ids(self, given: Mapping[str, str]) -> dict[str, str]:
        return {name: run for writer in self.writers.values() for name, run in writer.run_ids(given).items()}

    def deliveries(self) -> dict[str, Delivery]:
        found = self.journal.deliveries() if self.journal is not None else {}
        for key, writer in self.writers.items():
            found |= {key if name == key else f"{key}/{name}": told for name, told in writer.deliveries().items()}
        return found

    def _members(self) -> list[Writer[Any]]:
        """The journal last: backends may still read from it."""
        return [*self._open, *([self.journal] if self.journal is not None else [])]
