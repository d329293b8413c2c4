"""The latest numbers on the console: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import fnmatch
import sys
import time
from collections.abc import Sequence
from typing import Literal

from dltools.cfgutils.annotations import NonNegative, Positive
from dltools.writers.base import RunInfo, WriterCfg
from dltools.writers.records import Record, Scalars
from dltools.writers.screen import REFRESH_SECS, is_terminal, print_lines, screen_of
from dltools.writers.sink import Sink


class ConsoleWriterCfg(WriterCfg["ConsoleWriter"]):
    keys: str = "*"
    """Metrics to show: patterns, separated by commas."""
    every_secs: NonNegative = 10.0
    """Seconds between lines that stay."""
    style: Literal["auto", "rich", "plain"] = "auto"
    """"rich" redraws a live line; "auto" does so where stdout is a terminal."""
    flush_secs: Positive = REFRESH_SECS


class ConsoleWriter(Sink[ConsoleWriterCfg]):
    """Prints each axis's latest values every ``every_secs`` and at the end.

    Only what has been delivered is shown: the console never waits for a device.

    >>> with ConsoleWriter() as writer:
    ...     writer.scalars({"train/loss": 0.51234}, step=120)
    step 120  train/loss 0.5123
    """

    def setup(self) -> None:
        self._patterns = [pattern.strip() for pattern in self.cfg.keys.split(",")]
        self._latest: dict[str, tuple[int, dict[str, float]]] = {}
        self._changed: set[str] = set()
        self._printed = float("-inf")

    def on_open(self, run: RunInfo) -> None:
        del run
        self._stream = sys.stdout
        style = self.cfg.style
        self._live = style == "rich" or (style == "auto" and is_terminal(self._stream))

    def on_write(self, batch: Sequence[Record]) -> None:
        for record in batch:
            if isinstance(record, Scalars):
                shown = {name: value for name, value in record.values.items() if self._wants(name)}
                if shown:
                    self._note(record, shown)

    def on_flush(self) -> None:
        if self._changed and time.monotonic() - self._printed >= self.cfg.every_secs:
            self._print()
        elif self._changed and self._live:
            screen_of(self._stream).show(id(self), "   ".join(map(self._line, self._latest)))

    def on_rewind(self, step: int, axis: str) -> None:
        del step
        self._latest.pop(axis, None)
        self._changed.discard(axis)

    def on_close(self, status: str) -> None:
        del status
        if self._live:
            screen_of(self._stream).leave(id(self))
        self._print()

    def _note(self, record: Scalars, shown: dict[str, float]) -> None:
        known = self._latest.get(record.axis, (0, {}))[1] if record.axis in self._changed else {}
        self._latest[record.axis] = (record.step, {**known, **shown})
        self._changed.add(record.axis)

    def _wants(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)

    def _print(self) -> None:
        lines = [self._line(axis) for axis in self._latest if axis in self._changed]
        if self._live:
            screen_of(self._stream).print(*lines)
        else:
            print_lines(self._stream, *lines)
        self._changed.clear()
        self._printed = time.monotonic()

    def _line(self, axis: str) -> str:
        step, values = self._latest[axis]
        return "  ".join([f"{axis} {step}", *(f"{name} {_short(value)}" for name, value in values.items())])


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
