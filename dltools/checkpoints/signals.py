"""Requests to stop, noted for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

STOPS = (signal.SIGTERM, signal.SIGINT)


class Stops:
    """Notes SIGTERM and SIGINT while its block runs in the main thread; afterwards the old handlers are back.

    >>> with Stops() as stops:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stops.heard == {signal.SIGTERM}
    True
    """

    def __init__(self) -> None:
        self.heard: set[signal.Signals] = set()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stops:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._note) for one in STOPS}
        return self

    def __exit__(self, *error: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.heard.add(signal.Signals(number))


def leave(asked: Sequence[bool]) -> None:
    """End the program as the signals of ``STOPS`` ask for; nothing if none does."""
    heard = {one for one, yes in zip(STOPS, asked, strict=True) if yes}
    if signal.SIGINT in heard:
        raise KeyboardInterrupt
    if signal.SIGTERM in heard:
        raise SystemExit(128 + signal.SIGTERM)
