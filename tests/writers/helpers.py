"""What the tests of writers share: reading event files back, sinks that misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dltools.writers.base import WriterCfg
from dltools.writers.journal import read_journal, series
from dltools.writers.records import Record, Scalars
from dltools.writers.sink import Sink

Points = dict[str, list[tuple[int, float]]]


def tensorboard(folder: Path) -> Points:
    """Scalars of an event folder as TensorBoard itself reads them."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def journal(folder: Path, axis: str = "step") -> Points:
    """Scalars of a journal."""
    found = series(read_journal(folder), axis)
    return {name: list(zip(x.tolist(), y.tolist(), strict=True)) for name, (x, y) in found.items()}


def steps(records: Sequence[Record]) -> list[int]:
    return [record.step for record in records]


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for what happens in another thread."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


class FaultyWriterCfg(WriterCfg["FaultyWriter"]):
    fail: int = 0
    """Writes that raise before the first that works."""
    sleep: float = 0.0
    """Seconds per write."""


class FaultyWriter(Sink[FaultyWriterCfg]):
    """Raises so many times, or sleeps; keeps what it took."""

    def setup(self) -> None:
        self.taken: list[Scalars] = []
        self.calls: list[str] = []
        self.failures = 0
        self.gate = threading.Event()
        self.gate.set()

    def on_open(self, run: Any) -> None:
        self.calls.append("open")

    def on_write(self, batch: Sequence[Record]) -> None:
        self.gate.wait()
        time.sleep(self.cfg.sleep)
        if self.failures < self.cfg.fail:
            self.failures += 1
            raise ConnectionError("nobody answers")
        self.calls.append("write")
        self.taken += [record for record in batch if isinstance(record, Scalars)]

    def on_flush(self) -> None:
        self.calls.append("flush")

    def on_rewind(self, step: int, axis: str) -> None:
        self.calls.append(f"rewind {axis} {step}")

    def on_close(self, status: str) -> None:
        self.calls.append(f"close {status}")


def values(records: Sequence[Record]) -> list[Mapping[str, float]]:
    return [record.values for record in records if isinstance(record, Scalars)]
