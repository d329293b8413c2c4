"""The last lines of a terminal, shared by all that want to be seen there: redrawn four times a second at most."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

REFRESH_SECS = 0.25
_SCREENS: weakref.WeakKeyDictionary[TextIO, Screen] = weakref.WeakKeyDictionary()


class Screen:
    """Live lines below the text that scrolls by; each user has one, under a key of its own."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console: Console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._lines: dict[int, str] = {}
        self._lock, self._drawn = threading.Lock(), 0.0

    def show(self, key: int, line: str) -> None:
        """Set a live line; drawn if the last drawing is long enough ago."""
        with self._lock:
            self._lines[key] = line
            if not self._live.is_started:
                self._live.start()
            if time.monotonic() - self._drawn >= REFRESH_SECS:
                self._draw()

    def leave(self, key: int, *last: str) -> None:
        """Take a live line away; the ``last`` ones stay in the text above."""
        with self._lock:
            self._lines.pop(key, None)
            if self._live.is_started:
                self._draw()
                if not self._lines:
                    self._live.stop()
            self._print(*last)

    def print(self, *lines: str) -> None:
        """Print lines above the live ones."""
        with self._lock:
            self._print(*lines)

    def _print(self, *lines: str) -> None:
        for line in lines:
            self._console.print(line, markup=False, overflow="ellipsis", no_wrap=True)

    def _draw(self) -> None:
        from rich.text import Text

        self._live.update(Text("\n".join(self._lines.values()), no_wrap=True, overflow="ellipsis"), refresh=True)
        self._drawn = time.monotonic()


def screen_of(stream: TextIO) -> Screen:
    """The screen of a terminal; there is one, whoever asks, also while it stands in for ``sys.stdout``."""
    stream = getattr(stream, "rich_proxied_file", stream)
    screen = _SCREENS.get(stream)
    if screen is None:
        screen = _SCREENS[stream] = Screen(stream)
    return screen


def print_lines(stream: TextIO, *lines: str) -> None:
    """Plain lines, without control codes, seen at once."""
    stream.writelines(f"{line}\n" for line in lines)
    stream.flush()


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at it."""
    return stream.isatty() and not stream.closed
