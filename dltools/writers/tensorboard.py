"""TensorBoard event files without TensorFlow, exact also after a crash or a rewind."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from dltools.errors import DltoolsError
from dltools.writers.base import RunInfo, WriterCfg
from dltools.writers.events import EventFile, proto, read_frames, require_tensorboard
from dltools.writers.png import ImageFormat, check_format
from dltools.writers.position import Position
from dltools.writers.records import Hist, Image, Params, Record, Scalars, Text
from dltools.writers.sink import Sink
from dltools.writers.summaries import end_event, events_of, start_event, version_event


class TensorBoardWriterCfg(WriterCfg["TensorBoardWriter"]):
    dir: str = "tb"
    """Folder of the event file; inside a MultiWriter below its folder."""
    images: ImageFormat = "png"
    """How pictures are kept; "none" leaves them out."""


class TensorBoardWriter(Sink[TensorBoardWriterCfg]):
    """One event per call, numbers as float32, in one file per run, which later processes continue.

    Beside the file stands how much of it, and of the journal, is in it for sure. The next process cuts the file to that
    and completes it from the journal, so that a killed run shows every point once. After a rewind the file is made anew
    from the journal; without one, from itself. Extra: ``tensorboard``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TensorBoardWriter(dir=folder) as writer:
    ...         writer.scalars({"loss": 0.5}, step=1)
    ...     [file.name[:19] for file in Path(folder).glob("events*")]
    ['events.out.tfevents']
    """

    accepts: ClassVar[frozenset[type[Record]]] = frozenset({Scalars, Image, Hist, Text, Params})

    def setup(self) -> None:
        require_tensorboard()
        check_format(self.cfg.images)
        self._file: EventFile | None = None
        self._axes: dict[str, str] = {}
        self._serial, self._has_params = 0, False

    def on_open(self, run: RunInfo) -> None:
        self._info = run
        self._suffix = f".rank{run.rank}" if self.cfg.ranks == "all" else ""
        self._sidecar = run.dir / f".position{self._suffix}.json"
        saved = Position.load(self._sidecar)
        known = run.dir / saved.file if saved is not None else run.dir
        if saved is None or not known.is_file():
            self._renew([start_event(time.time())] if self._event_files() else [])
            return
        self._serial, self._axes = saved.notes["serial"], saved.notes["axes"]
        self._has_params = saved.notes["has_params"]
        for file in self._event_files():
            if file.name > saved.file:  # made by a process that died before it was recorded
                file.unlink()
        if run.journal is None or saved.journal is None:  # nothing tells what the file lacks
            self._file = EventFile(known)
        elif saved.holds(known, run.journal):
            self._file = EventFile(known, keep=saved.length)
            self.resume_at(saved.journal)
        else:  # the journal was rewound without us, or the disk has lost some of our file
            self._file = EventFile(known, keep=known.stat().st_size)
            self._renew([start_event(time.time())])

    def on_write(self, batch: Sequence[Record]) -> None:
        file = self._opened()
        images = self.cfg.images
        events: list[bytes] = []
        for record in batch:
            if isinstance(record, Image):
                if images != "none":
                    events += events_of(record, images, self._picture(record))
                continue
            events += events_of(record, images)
            self._has_params |= isinstance(record, Params)
            if record.axis != "step":
                names = record.values if isinstance(record, Scalars) else [getattr(record, "name", "")]
                self._axes |= dict.fromkeys(names, record.axis)
        file.append(events)

    def on_flush(self) -> None:
        file, journal = self._opened(), self._info.journal
        notes = {"serial": self._serial, "axes": self._axes, "has_params": self._has_params}
        at, cuts = (self.position, journal.cuts) if journal is not None else (None, 0)
        Position(file.path.name, file.length, at, cuts, notes).save(self._sidecar)

    def on_rewind(self, step: int, axis: str) -> None:
        if self._info.journal is not None:
            self._renew([start_event(time.time())])
            return
        kept = [data for _, data in read_frames(self._opened().path) if not self._is_beyond(data, step, axis)]
        self._renew([start_event(time.time()), *kept[1:]])

    def on_close(self, status: str) -> None:
        """The end of the session stands beyond the recorded length: a process that continues the run cuts it."""
        file = self._opened()
        if self._has_params:
            file.append([end_event(time.time(), status)])
        file.close()
        self._tidy()

    def _renew(self, events: list[bytes]) -> None:
        """A new file in place of the old one, to be filled from the journal; its name sorts after the old one's.

        A running TensorBoard goes on to it only if the old file is still there: it is emptied now, removed later.
        """
        old, self._serial = self._file, self._serial + 1
        folder, now = self._info.dir, time.time()
        name = f"events.out.tfevents.{int(now):010d}.{self._serial:04d}{self._suffix}"
        file = EventFile(folder / name, keep=0)
        file.append([version_event(now), *events])
        self._file = file
        if self._info.journal is not None:
            self.resume_at(0)
        self.on_flush()
        if old is not None:
            old.empty()
            old.close()

    def _tidy(self) -> None:
        """Remove the files that ``_renew`` emptied."""
        for file in self._event_files():
            if file.stat().st_size == 0:
                file.unlink()

    def _event_files(self) -> list[Path]:
        names = re.compile(rf"events\.out\.tfevents\.\d+\.\d+{re.escape(self._suffix)}")
        folder = self._info.dir
        return [file for file in folder.iterdir() if names.fullmatch(file.name)] if folder.is_dir() else []

    def _is_beyond(self, data: bytes, step: int, axis: str) -> bool:
        event = proto("event").Event.FromString(data)
        axes = {
            self._axes.get(value.tag, "step") for value in event.summary.value if not value.tag.startswith("_hparams_")
        }
        return event.HasField("session_log") or (event.step >= step and axes == {axis})

    def _picture(self, record: Image) -> bytes | None:
        """The file of a picture whose pixels were not kept; None if it is not there."""
        if record.pixels is not None or record.file is None:
            return None
        return self._info.pictures.read(record.file) if self._info.pictures is not None else None

    def _opened(self) -> EventFile:
        if self._file is None:
            raise DltoolsError("the event file is not open")
        return self._file
