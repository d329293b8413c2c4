"""The journal as a file: appended to before a call returns, owned by one process, mended when it is opened."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from dltools.errors import DltoolsError
from dltools.writers.disk import own, publish
from dltools.writers.journal import decode, encode, read_lines
from dltools.writers.records import Image, Params, Record


class Logbook:
    """One journal. A record is a single ``os.write``, with O_APPEND; ``span`` is where the last one stands.

    What cannot be written now is kept, up to ``max_pending`` records, and written later in the same order, so that
    offsets hold.
    """

    def __init__(
        self, path: Path, rank: int = 0, *, max_pending: int = 100_000, fsync_secs: float | None = None
    ) -> None:
        self.path: Path = path
        self.rank: int = rank
        self.next: dict[str, int] = {}
        self.images: dict[str, str] = {}
        self.span: tuple[int, int] = (0, 0)
        self.end: int = 0
        self.cuts: int = 0
        self.written: int = 0
        self.dropped: int = 0
        self.error: OSError | None = None
        self._params: Params | None = None
        self._backlog: deque[bytes] = deque()
        self._max, self._fsync_secs, self._synced = max_pending, fsync_secs, time.monotonic()
        self._fd, self._lock, self._whole = -1, -1, 0
        self._open()

    @property
    def is_open(self) -> bool:
        """False as long as the folder or file cannot be made."""
        return self._fd >= 0

    @property
    def pending(self) -> int:
        """Records that could not be written yet."""
        return len(self._backlog)

    def has(self, params: Params) -> bool:
        """Whether these are the hyperparameters that were written last."""
        last = self._params
        return last is not None and (last.params, last.metrics) == (params.params, params.metrics)

    def append(self, record: Record) -> None:
        """Write a record's line, or keep it if the disk refuses; with too many kept already, it is dropped."""
        if isinstance(record, Params):
            self._params = record
        line = encode(record, self.rank)
        if self._backlog or not self._write(line):
            if len(self._backlog) >= self._max:
                self.dropped += 1
                self.span = (self.end, self.end)
                return
            self._backlog.append(line)
        self.span = (self.end, self.end + len(line))
        self.end = self.span[1]

    def sync(self) -> None:
        """Write what was kept; with ``fsync_secs``, see to it that the disk has it."""
        if self._fd < 0 and not self._open():
            return
        while self._backlog and self._write(self._backlog[0]):
            self._backlog.popleft()
        if self._fsync_secs is not None and time.monotonic() - self._synced >= self._fsync_secs:
            os.fsync(self._fd)
            self._synced = time.monotonic()

    def read(self, start: int, stop: int, limit: int = 2000) -> tuple[list[tuple[Record, int]], int]:
        """Records of up to ``limit`` lines from an offset on, with where each begins; and where the last line ends."""
        lines = list(islice(read_lines(self.path, start, stop), limit))
        records = [(record, begin) for begin, _, line in lines if (record := _tolerant(line)) is not None]
        return records, lines[-1][1] if lines else start

    def rewind(self, following: Mapping[str, int]) -> bool:
        """Move what each axis holds from its step on to ``<name>.cut-<n>.jsonl``; false if there is nothing to move."""
        self.sync()
        if self._backlog:
            raise DltoolsError(f"{self.path} cannot be written, so it cannot be rewound: {self.error}")
        if self._fd < 0:
            return False
        kept, cut = bytearray(), bytearray()
        for _, _, line in read_lines(self.path):
            (cut if _is_beyond(_tolerant(line), following) else kept).extend(line)
        if not cut:
            return False
        publish(self.path.with_name(f"{self.path.stem}.cut-{self.cuts + 1}.jsonl"), cut, durable=True)
        publish(self.path, kept, durable=True)
        os.close(self._fd)
        self._open_file()
        return True

    def close(self) -> None:
        """Give the file back."""
        self.sync()
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    def _open(self) -> bool:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = own(self.path)
            self._open_file()
        except OSError as error:
            self.error = error
        return self.is_open

    def _open_file(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self.end = 0
        self.next, self.images, self._params = {}, {}, None
        for _, end, line in read_lines(self.path):
            self.end = end
            if (record := _tolerant(line)) is not None:
                self._note(record)
        os.ftruncate(self._fd, self.end)
        self._whole, self.error = self.end, None
        self.span = (self.end, self.end)
        names = (
            re.fullmatch(rf"{re.escape(self.path.stem)}\.cut-(\d+)\.jsonl", file.name)
            for file in self.path.parent.iterdir()
        )
        self.cuts = max((int(name[1]) for name in names if name), default=0)

    def _note(self, record: Record) -> None:
        if isinstance(record, Params):
            self._params = record
            return
        self.next[record.axis] = max(self.next.get(record.axis, 0), record.step + 1)
        if isinstance(record, Image) and record.file:
            self.images[record.name] = record.file

    def _write(self, line: bytes) -> bool:
        """All of the line or nothing: half of one must not be joined to the next."""
        if self._fd < 0:
            return False
        try:
            if self.error is not None:
                os.ftruncate(self._fd, self._whole)
            done = os.write(self._fd, line)
            if done < len(line):
                raise OSError(f"{done} of {len(line)} bytes written to {self.path}")
        except OSError as error:
            self.error = error
            return False
        self._whole += done
        self.written, self.error = self.written + 1, None
        return True


def _is_beyond(record: Record | None, following: Mapping[str, int]) -> bool:
    """Hyperparameters belong to the whole run."""
    if record is None or isinstance(record, Params) or record.axis not in following:
        return False
    return record.step >= following[record.axis]


def _tolerant(line: bytes) -> Record | None:
    """A damaged line must not keep training from going on; ``read_journal`` is the one who tells."""
    try:
        return decode(line)
    except ValueError:
        return None
