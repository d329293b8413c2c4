"""One backend: a bounded queue, a thread, retries. Backend authors write the hooks; the rest is here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar, final

from dltools.writers.base import Delivery, RunInfo, Writer, WriterCfg
from dltools.writers.feed import Cut, Feed
from dltools.writers.records import Record, Scalars
from dltools.writers.worker import Worker

C = TypeVar("C", bound=WriterCfg[Any])


class Sink(Writer[C]):
    """A backend. Its hooks run in order, in one thread of its own; what raises is called again with the same batch.

    A whole backend:

    >>> class ListWriterCfg(WriterCfg["ListWriter"]):
    ...     pass
    >>> class ListWriter(Sink[ListWriterCfg]):
    ...     def setup(self) -> None:
    ...         self.rows: list[tuple[int, Mapping[str, float]]] = []
    ...     def on_write(self, batch: Sequence[Record]) -> None:
    ...         self.rows += [(record.step, record.values) for record in batch if isinstance(record, Scalars)]
    >>> with ListWriter() as writer:
    ...     writer.scalars({"loss": 0.5}, step=1)
    >>> writer.rows
    [(1, {'loss': 0.5})]

    Under a MultiWriter with a journal, what does not fit into the queue is read from there; a backend that keeps its
    ``position`` can be completed from there when the run is opened again (``resume_at``).
    """

    accepts: ClassVar[frozenset[type[Record]]] = frozenset({Scalars})
    """Kinds of records that ``on_write`` takes; others are skipped."""
    threaded: ClassVar[bool] = True
    """False: the hooks run inside the caller's call."""

    def __init__(self, cfg: C | None = None, /, **fields: Any) -> None:
        self.run_id: str = ""
        self._feed: Feed | None = None
        self._worker: Worker | None = None
        self._run: RunInfo | None = None
        self._ready = self._dirty = False
        super().__init__(cfg, **fields)

    def on_open(self, run: RunInfo) -> None:
        """Before the first record."""

    @abstractmethod
    def on_write(self, batch: Sequence[Record]) -> None:
        """Take records, with their numbers on the host."""

    def on_flush(self) -> None:
        """Nothing more for now: see to it that what was written arrives."""

    def on_close(self, status: str) -> None:
        """The end: "ok", or what the run ended with."""

    def on_rewind(self, step: int, axis: str) -> None:
        """The run forgets an axis from this step on."""

    @property
    def position(self) -> int:
        """Where the journal's first record begins that ``on_write`` has not yet taken; 0 without a journal."""
        return self._feed.position if self._feed is not None else 0

    def resume_at(self, position: int) -> None:
        """In ``on_open`` or ``on_rewind``: take the journal's records from there on again."""
        if self._feed is not None:
            self._feed.resume_at(position)

    @final
    def open(self, run: RunInfo) -> Mapping[str, int]:
        self._run = run
        self._feed = Feed(self.accepts, run.journal, self.cfg.max_pending)
        self._worker = Worker(
            self.name,
            self._work,
            self._finish,
            secs=self.cfg.flush_secs,
            notices=self.notices,
            threaded=self.threaded,
            raises=self.cfg.on_error == "raise",
        )
        return run.next

    @final
    def put(self, record: Record) -> None:
        if self._feed is not None and self._worker is not None:
            self._feed.offer(record, alive=self._worker.state != "failed")
            self._worker.nudge()

    @final
    def begin(self, status: str | None, deadline: float) -> None:
        if self._worker is not None:
            self._worker.begin(status, deadline)

    @final
    def wait(self, deadline: float) -> None:
        if self._worker is not None:
            self._worker.wait(deadline)

    @final
    def cut(self, following: Mapping[str, int]) -> None:
        if self._feed is not None and self._worker is not None:
            self._feed.offer_cut(following)
            self._worker.nudge()

    @final
    def run_ids(self, given: Mapping[str, str]) -> dict[str, str]:
        self.run_id = given.get(self.name, self.run_id)
        return {self.name: self.run_id} if self.run_id else {}

    @final
    def deliveries(self) -> dict[str, Delivery]:
        if self._feed is None or self._worker is None:
            return {self.name: Delivery("closed" if self._closed else "idle")}
        feed, worker = self._feed, self._worker
        return {self.name: Delivery(worker.state, feed.written, feed.pending, feed.dropped, worker.error or None)}

    def _work(self) -> None:
        if self._feed is None or self._run is None:
            return
        if not self._ready:
            self.on_open(self._run)
            self._ready = True
        while (batch := self._feed.take()) is not None:
            if isinstance(batch, Cut):
                for axis, step in batch.following.items():
                    self.on_rewind(step, axis)
            else:
                self.on_write(batch)
            self._feed.confirm()
            self._dirty = True
        if self._dirty:
            self.on_flush()
            self._dirty = False

    def _finish(self, status: str) -> None:
        if self._ready:
            self.on_close(status)
