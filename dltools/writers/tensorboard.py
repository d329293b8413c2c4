"""TensorBoard event files without TensorFlow, exact also after a crash or a rewind."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from dltools.errors import DltoolsError
from dltools.writers.base import RunInfo, WriterCfg
from dltools.writers.events import EventFile, read_frames, require_tensorboard
from dltools.writers.png import ImageFormat, check_format
from dltools.writers.records import Hist, Image, Params, Record, Scalars, Text
from dltools.writers.sink import Sink
from dltools.writers.summaries import end_event, events_of, start_event, version_event


class TensorBoardWriterCfg(WriterCfg["TensorBoardWriter"]):
    dir: str = "tb"
    """Folder of the event file; inside a MultiWriter below its folder."""
    images: ImageFormat = "png"
    """How pictures are kept; "none" leaves them out."""


class TensorBoardWriter(Sink[TensorBoardWriterCfg]):
    """One event per call, numbers as float32, in one file per run that later processes continue. Extra: ``tensorboard``.

    Beside the file stands how much of it, and of the journal, is in it for sure. The next process cuts the file to that and completes it from the
    journal, so that a killed run shows every point once. After a rewind the file is made anew from the journal; without one, from itself.
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
        suffix = f".rank{run.rank}" if self.cfg.ranks == "all" else ""
        self._sidecar = run.dir / f".position{suffix}.json"
        self._suffix = suffix
        saved = self._saved()
        known = run.dir / str(saved.get("file", ""))
        if not saved or not known.is_file():
            self._renew([])
            return
        self._serial, self._axes = saved["serial"], saved["axes"]
        if run.journal is None:
            self._file = EventFile(known)
        elif (saved["cuts"], True) == (run.journal.cuts, saved["journal"] <= run.journal.end) and (
            saved["length"] <= known.stat().st_size
        ):
            self._file = EventFile(known, keep=saved["length"])
            self.resume_at(saved["journal"])
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
        state = {
            "file": file.path.name,
            "length": file.length,
            "serial": self._serial,
            "axes": self._axes,
            "journal": self.position,
            "cuts": journal.cuts if journal is not None else 0,
        }
        draft = self._sidecar.with_suffix(".draft")
        draft.write_text(json.dumps(state), encoding="utf-8")
        draft.replace(self._sidecar)

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

    def _renew(self, events: list[bytes]) -> None:
        """A new file in place of the old one, to be filled from the journal. Its name sorts after the old one's, as TensorBoard asks."""
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
            old.close()
            old.path.unlink(missing_ok=True)

    def _is_beyond(self, data: bytes, step: int, axis: str) -> bool:
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event.FromString(data)
        axes = {
            self._axes.get(value.tag, "step") for value in event.summary.value if not value.tag.startswith("_hparams_")
        }
        return event.HasField("session_log") or (event.step >= step and axes == {axis})

    def _picture(self, record: Image) -> bytes | None:
        """The file of a picture whose pixels were not kept; None if it is not there."""
        if record.pixels is not None or record.file is None:
            return None
        return self._info.pictures.read(record.file) if self._info.pictures is not None else None

    def _saved(self) -> dict[str, Any]:
        try:
            saved = json.loads(self._sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return (
            saved
            if isinstance(saved, dict) and saved.keys() >= {"file", "length", "serial", "axes", "journal", "cuts"}
            else {}
        )

    def _opened(self) -> EventFile:
        if self._file is None:
            raise DltoolsError("the event file is not open")
        return self._file
