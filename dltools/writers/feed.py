"""What waits for one backend: a bounded queue, and behind it the journal."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dltools.writers.logbook import Logbook
from dltools.writers.pictures import MAX_BYTES
from dltools.writers.records import Image, Record

BATCH = 4096


@dataclass(frozen=True)
class Cut:
    """The run was rewound: each axis from its step on. ``end``: the journal's size then; ``taken``: offered before."""

    following: Mapping[str, int]
    end: int
    taken: int


class Feed:
    """Hands records over in order, each until it is confirmed. One thread offers, one takes; only dropping locks.

    With a journal every record is known by where it stands there: what is missing between two of them is read from the
    file, and what was read already is skipped. So the queue may overflow, or start in the middle.
    """

    def __init__(self, accepts: frozenset[type[Record]], journal: Logbook | None, max_pending: int) -> None:
        self._accepts, self._journal, self._max = accepts, journal, max_pending
        self._queue: deque[tuple[Record | Cut | None, int, int]] = deque()
        self._born = journal.end if journal is not None else 0
        self.position: int = self._born
        """Where the journal's first record begins that is not confirmed."""
        self._current: list[Record] | Cut | None = None
        self._current_end, self._current_own = self.position, 0
        self._behind, self._dropping = False, threading.Lock()
        self._taken = self._settled = self._bytes = self._freed = 0
        self.written: int = 0
        self.dropped: int = 0

    @property
    def pending(self) -> int:
        """Records offered, neither confirmed nor dropped."""
        return max(0, self._taken - self._settled - self.dropped)

    def offer(self, record: Record, *, alive: bool = True) -> None:
        """Queue a record, the one just written where there is a journal. Without one the oldest make room."""
        wanted = type(record) in self._accepts
        self._taken += wanted
        if self._journal is None:
            if wanted:
                self._offer_alone(record, alive=alive)
        elif not alive or len(self._queue) >= self._max:
            self._behind = True
        else:
            self._queue.append((self._lighten(record) if wanted else None, *self._journal.span))

    def offer_cut(self, following: Mapping[str, int]) -> None:
        """Queue a rewind, behind what came before it."""
        end = self._journal.end if self._journal is not None else 0
        self._queue.append((Cut(following, end, self._taken), end, end))

    def resume_at(self, position: int) -> None:
        """Take the journal's records from there again."""
        self.position, self._behind = position, True

    def take(self) -> list[Record] | Cut | None:
        """What is next: some records, or a rewind. The same again until it is confirmed; None if there is nothing."""
        if self._current is None:
            with self._dropping:
                self._current = self._next()
        return self._current

    def confirm(self) -> None:
        """What was taken has been delivered."""
        if isinstance(self._current, list):
            self.position = self._current_end
            self._settled += self._current_own
            self.written += len(self._current)
            self._freed += sum(_nbytes(record) for record in self._current)
        self._current = None

    def _next(self) -> list[Record] | Cut | None:
        batch: list[Record] = []
        end = self.position
        while self._queue and len(batch) < BATCH:
            item, start, stop = self._queue[0]
            if batch and (isinstance(item, Cut) or (self._journal is not None and start > end)):
                break
            if isinstance(item, Cut):
                self._queue.popleft()
                self.position, self._born, self._settled = item.end, item.end, item.taken - self.dropped
                return item
            if self._journal is not None and start > end:
                if missing := self._read(start):
                    return missing
                end = self.position
            self._queue.popleft()
            if item is not None and (self._journal is None or start >= end):
                batch.append(item)
            elif item is not None:
                self._freed += _nbytes(item)
            end = max(end, stop)
        if batch:
            self._current_end, self._current_own = end, len(batch)
            return batch
        self.position = end
        if self._behind and self._journal is not None and not self._queue:
            self._behind = False
            return self._rest()
        return None

    def _rest(self) -> list[Record] | None:
        """The next records of the journal up to its end, as long as there are any."""
        records = self._read(self._journal.end) if self._journal is not None else []
        self._behind = bool(records)
        return records or None

    def _read(self, stop: int) -> list[Record]:
        """The next records that the journal has before ``stop``."""
        while self._journal is not None and self.position < stop:
            found, end = self._journal.read(self.position, stop)
            records = [(record, begin) for record, begin in found if type(record) in self._accepts]
            if records:
                self._current_end, self._current_own = end, sum(begin >= self._born for _, begin in records)
                return [record for record, _ in records]
            self.position = end if end > self.position else stop
        return []

    def _lighten(self, record: Record) -> Record:
        """Pixels beyond the limit are read from their file later."""
        size = _nbytes(record)
        if isinstance(record, Image) and record.file is not None and self._bytes - self._freed + size > MAX_BYTES:
            return replace(record, pixels=None)
        self._bytes += size
        return record

    def _offer_alone(self, record: Record, *, alive: bool) -> None:
        """Without a journal, what finds no place is lost: the oldest record that waits, never a rewind."""
        if not alive:
            self.dropped += 1
            return
        self._bytes += _nbytes(record)
        self._queue.append((record, 0, 0))
        if len(self._queue) > self._max or self._bytes - self._freed > MAX_BYTES:
            with self._dropping:
                self._drop()

    def _drop(self) -> None:
        cuts: list[tuple[Record | Cut | None, int, int]] = []
        while self._queue and (len(self._queue) + len(cuts) > self._max or self._bytes - self._freed > MAX_BYTES):
            entry = self._queue.popleft()
            if isinstance(entry[0], Cut):
                cuts.append(entry)
            elif entry[0] is not None:
                self.dropped += 1
                self._bytes -= _nbytes(entry[0])
        self._queue.extendleft(reversed(cuts))


def _nbytes(record: Record) -> int:
    return record.pixels.nbytes if isinstance(record, Image) and record.pixels is not None else 0
