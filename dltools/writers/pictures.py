"""Pictures as files beside the journal, encoded in the background."""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dltools.writers.disk import publish
from dltools.writers.png import ImageFormat, encode_image
from dltools.writers.records import Image
from dltools.writers.worker import Notice, Worker

MAX_BYTES = 256 * 2**20
"""Pixels that may wait; beyond, the caller waits for the encoder."""
LONGEST = 150


class Pictures:
    """``<home>/<name>/<step>.png`` below a folder: each name a folder of its own, also where a disk knows no case."""

    def __init__(
        self,
        root: Path,
        home: str,
        format: ImageFormat,
        known: Mapping[str, str],
        *,
        secs: float,
        notices: deque[Notice],
    ) -> None:
        self.root: Path = root
        self._home = home
        self._format: ImageFormat = format
        self._folders = {name: str(Path(file).parent) for name, file in known.items()}
        self._queue: deque[tuple[Image, str]] = deque()
        self._bytes = 0
        self.worker: Worker = Worker("images", self._work, secs=secs, notices=notices)

    @property
    def pending(self) -> int:
        """Pictures without a file as yet."""
        return len(self._queue)

    def take(self, record: Image) -> Image:
        """The record with the file that it will have."""
        if self._format == "none" or record.pixels is None:
            return record
        stem = f"{record.step:08d}" if record.axis == "step" else f"{safe(record.axis)}-{record.step:08d}"
        file = f"{self._folder(record.name)}/{stem}.{self._format}"
        self._queue.append((record, file))
        self._bytes += record.pixels.nbytes
        self.worker.nudge()
        if self._bytes > MAX_BYTES:
            self.settle(float("inf"))
        return replace(record, file=file)

    def settle(self, deadline: float) -> None:
        """Wait until the files are there."""
        if self._queue:
            self.worker.begin(None, deadline)
            self.worker.wait(deadline)

    def read(self, file: str) -> bytes | None:
        """A picture's file; None if there is none."""
        place = self.root / file
        if not place.is_file():
            self.settle(time.monotonic() + 10)
        return place.read_bytes() if place.is_file() else None

    def _folder(self, name: str) -> str:
        folder = self._folders.get(name)
        if folder is None:
            folder = f"{self._home}/{safe(name)}"
            if any(folder.lower() == other.lower() for other in self._folders.values()):
                folder = f"{self._home}/{safe(name, distinct=True)}"
            self._folders[name] = folder
        return folder

    def _work(self) -> None:
        while self._queue:
            record, file = self._queue[0]
            if record.pixels is not None:
                place = self.root / file
                place.parent.mkdir(parents=True, exist_ok=True)
                publish(place, encode_image(record.pixels, self._format))
                self._bytes -= record.pixels.nbytes
            self._queue.popleft()


def safe(name: str, *, distinct: bool = False) -> str:
    """A relative path for a name: ``/`` makes folders, special characters are escaped, long names cut and hashed.

    >>> safe("val/pred"), safe("../a b")
    ('val/pred', '%2E%2E/a%20b')
    """
    parts = [re.sub(r"[^\w.\-+=@,]", _escape, part) or "%" for part in name.split("/")]
    parts = [part.replace(".", "%2E") if part.strip(".") == "" else part for part in parts]
    path = "/".join(parts)
    if distinct or len(path.encode()) > LONGEST:
        path = f"{path[: LONGEST // 4].rstrip('/')}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return path


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())
