"""The journal as a writer: every record is in the file before the call returns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dltools.cfgutils.annotations import NonNegative
from dltools.errors import ConfigError
from dltools.writers.base import Delivery, RunInfo, Writer, WriterCfg
from dltools.writers.logbook import Logbook
from dltools.writers.pictures import Pictures, safe
from dltools.writers.png import ImageFormat, check_format
from dltools.writers.records import Artifact, Image, Params, Record
from dltools.writers.worker import Notice, State


class JsonlWriterCfg(WriterCfg["JsonlWriter"]):
    dir: str = ""
    """Folder; inside a MultiWriter below its folder."""
    name: str = "metrics"
    """The file is ``<name>.jsonl``, or ``<name>.rank<R>.jsonl`` where all ranks write."""
    fsync_secs: NonNegative | None = None
    """Ask the disk to keep the lines at most every so many seconds; a killed process loses none even without."""
    images: ImageFormat = "png"
    """Files of pictures, below ``images/``, or ``images.rank<R>/`` where all ranks write."""

    def __post_init__(self) -> None:
        if not self.name or safe(self.name) != self.name or "/" in self.name:
            raise ConfigError(f"name is {self.name!r}", expected="a plain file name without its ending")


class JsonlWriter(Writer[JsonlWriterCfg]):
    """One JSON object per line and call, written before the call returns (rows with values on a device: at the flush).

    >>> import tempfile
    >>> from dltools.writers.journal import read_journal, series
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with JsonlWriter(dir=folder) as writer:
    ...         writer.scalars({"train/loss": 0.5}, step=3)
    ...     steps, values = series(read_journal(folder))["train/loss"]
    >>> steps, values
    (array([3]), array([0.5]))

    The format stands in :mod:`dltools.writers.journal`; ``pandas.read_json(path, lines=True)`` and ``jq`` read it.
    """

    def setup(self) -> None:
        check_format(self.cfg.images)
        self._syncs = self.cfg.fsync_secs is not None
        self.logbook: Logbook | None = None
        self._pictures: Pictures | None = None
        self._dir, self._retry_at, self._told, self._status = Path(), 0.0, False, ""

    def open(self, run: RunInfo) -> Mapping[str, int]:
        rank = f".rank{run.rank}" if self.cfg.ranks == "all" else ""
        self._dir = run.dir
        self.logbook = Logbook(
            run.dir / f"{self.cfg.name}{rank}.jsonl",
            run.rank,
            max_pending=self.cfg.max_pending,
            fsync_secs=self.cfg.fsync_secs,
        )
        self._pictures = Pictures(
            run.dir,
            f"images{rank}",
            self.cfg.images,
            self.logbook.images,
            secs=self.cfg.flush_secs,
            notices=self.notices,
        )
        return self.logbook.next

    def put(self, record: Record) -> None:
        self.keep(record)

    def keep(self, record: Record) -> Record | None:
        """Write the record's line; returns the record as kept, a picture with its file; None if it says nothing new."""
        if self.logbook is None or self._pictures is None:
            return record
        if isinstance(record, Params) and self.logbook.has(record):
            return None
        if isinstance(record, Image):
            record = self._pictures.take(record)
        elif isinstance(record, Artifact):
            record = replace(record, path=_relative(record.path, self._dir))
        self.logbook.append(record)
        if self._syncs or (self.logbook.error is not None and time.monotonic() >= self._retry_at):
            self._retry()
        return record

    def begin(self, status: str | None, deadline: float) -> None:
        self._status = status or ""
        if self._pictures is not None:
            self._pictures.worker.begin(status, deadline)

    def wait(self, deadline: float) -> None:
        if self._pictures is not None:
            self._pictures.worker.wait(deadline)
        if self.logbook is not None:
            self._retry()
            if self._status:
                self.logbook.close()

    def cut(self, following: Mapping[str, int]) -> None:
        if self.logbook is not None:
            self.logbook.rewind(following)

    def add_to(self, run: RunInfo) -> RunInfo:
        """What backends may use of the journal, once it is open; nothing as long as its folder cannot be made."""
        if self.logbook is None or not self.logbook.is_open:
            return run
        return replace(run, next=self.logbook.next, journal=self.logbook, pictures=self._pictures)

    def run_ids(self, given: Mapping[str, str]) -> dict[str, str]:
        """A file has no id of its own."""
        del given
        return {}

    def deliveries(self) -> dict[str, Delivery]:
        return {self.name: self._delivery()}

    def _delivery(self) -> Delivery:
        if self.logbook is None or self._pictures is None:
            return Delivery("closed" if self._closed else "idle")
        worker, book = self._pictures.worker, self.logbook
        error = str(book.error) if book.error else worker.error or None
        state: State = "degraded" if book.error else worker.state if worker.state in ("degraded", "failed") else "ok"
        if self._status and state == "ok":
            state = "closed"
        return Delivery(state, book.written, book.pending + self._pictures.pending, book.dropped, error)

    def _retry(self) -> None:
        if self.logbook is None:
            return
        self.logbook.sync()
        self._retry_at = time.monotonic() + self.cfg.flush_secs
        error = self.logbook.error
        if error is not None and not self._told:
            text = f"journal {self.logbook.path} cannot be written and is kept in memory: {error}"
            self.notices.append(Notice(text, error if self.cfg.on_error == "raise" else None))
        self._told = error is not None


def _relative(path: str, folder: Path) -> str:
    """Below the run's folder by the path from there, so that the folder may move."""
    place = Path(path).absolute()
    home = folder.absolute()
    return place.relative_to(home).as_posix() if place.is_relative_to(home) else str(place)
