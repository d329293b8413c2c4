"""Progress of a loop: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TextIO, TypeVar

from dltools.writers.screen import REFRESH_SECS, is_terminal, print_lines, screen_of

T = TypeVar("T")

PLAIN_SECS = 10.0
ASK_SECS = 0.03
"""About how often the clock is read."""
WIDTH = 30


def progress(iterable: Iterable[T], total: int | None = None, *, desc: str = "") -> Iterator[T]:
    """The items of ``iterable``, with a bar where stdout is a terminal, else lines on stderr every 10 s and at the end.

    ``total`` is the number of items, by default its length if it has one. The clock is read every few items only, so
    that an item costs next to nothing.

    >>> sum(progress(range(10)))
    45
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    terminal = is_terminal(sys.stdout)
    meter = _Meter(sys.stdout if terminal else sys.stderr, total, desc, terminal)
    due, done = 1, 0
    try:
        for item in iterable:
            yield item
            done += 1
            if done >= due:
                due = meter.update(done)
    finally:
        meter.finish(done)


class _Meter:
    """Shows how far it is, and says after how many items it wants to be asked again."""

    def __init__(self, stream: TextIO, total: int | None, desc: str, terminal: bool) -> None:
        self._stream, self._total, self._desc, self._terminal = stream, total, desc, terminal
        self._secs = REFRESH_SECS if terminal else PLAIN_SECS
        self._start = self._shown = self._asked = time.monotonic()
        self._last = 0

    def update(self, done: int) -> int:
        now = time.monotonic()
        if now - self._shown >= self._secs:
            self._show(done, now)
            self._shown = now
        step, spent = done - self._last, now - self._asked
        self._last, self._asked = done, now
        return done + (2 * step if spent < ASK_SECS / 2 else max(1, int(step * ASK_SECS / spent)))

    def finish(self, done: int) -> None:
        line = self._line(done, time.monotonic())
        if self._terminal:
            screen_of(self._stream).leave(id(self), line)
        else:
            print_lines(self._stream, line)

    def _show(self, done: int, now: float) -> None:
        line = self._line(done, now)
        if self._terminal:
            screen_of(self._stream).show(id(self), line)
        else:
            print_lines(self._stream, line)

    def _line(self, done: int, now: float) -> str:
        spent = max(now - self._start, 1e-9)
        rate = done / spent
        parts = [self._desc] if self._desc else []
        if self._total:
            share = min(1.0, done / self._total)
            if self._terminal:
                full = round(WIDTH * share)
                parts.append("━" * full + "╌" * (WIDTH - full))
            parts.append(f"{done}/{self._total} ({share:.0%})")
        else:
            parts.append(str(done))
        parts.append(f"{clock(spent)}, {rate:.3g}/s")
        if self._total and done and done < self._total:
            parts.append(f"{clock((self._total - done) / rate)} left")
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> clock(65), clock(3725)
    ('1:05', '1:02:05')
    """
    minutes, secs = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"
