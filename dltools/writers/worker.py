"""Work that must not disturb the loop: done in a thread, tried again when it fails, given up at a deadline."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

FIRST_PAUSE, LONGEST_PAUSE, CLOSING_PAUSE = 0.5, 30.0, 0.5
MAX_FAILURES = 8

State = Literal["idle", "ok", "degraded", "failed", "closed"]


@dataclass(frozen=True)
class Notice:
    """What the next call of the writer tells its caller: a warning, or an error to raise."""

    text: str
    error: Exception | None = None


class Attempt:
    """``with attempt:`` keeps an exception instead of raising it; SystemExit and KeyboardInterrupt pass."""

    error: Exception | None = None

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.error = error
        return True


class Worker:
    """Calls ``work`` when there may be some: it does all there is, or raises and is called again after a pause.

    The thread wakes by time, not for each item, so that handing an item over costs the loop one ``deque.append``.
    Without a thread, ``work`` runs inside ``nudge``.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        finish: Callable[[str], None] | None = None,
        *,
        secs: float,
        notices: deque[Notice],
        threaded: bool = True,
        raises: bool = False,
    ) -> None:
        self.name: str = name
        self.error: str = ""
        self.state: State = "idle"
        self._work, self._finish = work, finish
        self._secs, self._raises, self._notices = secs, raises, notices
        self._threaded, self._used = threaded, False
        self._thread: threading.Thread | None = None
        self._wake, self._answer, self._inline = threading.Event(), threading.Condition(), threading.RLock()
        self._asked = self._answered = self._failures = 0
        self._next_try = 0.0
        self._closing: str | None = None
        self._deadline = float("inf")

    def nudge(self) -> None:
        """There may be work."""
        if self._thread is not None:
            return
        self._used = True
        if self._threaded and self._closing is None and self._launch():
            return
        with self._inline:
            self._attempt(forced=False)

    def begin(self, status: str | None = None, deadline: float = float("inf")) -> None:
        """Ask for the work to be done now; with a status, for the last time."""
        with self._answer:
            self._asked += 1
            if status is not None and self._closing is None:
                self._closing, self._deadline = status, deadline
        self._wake.set()

    def wait(self, deadline: float) -> None:
        """Wait until what was begun is done, has failed, or is late."""
        if self._thread is None:
            with self._inline:
                if self._used:
                    self._attempt(forced=True)
                while self._closing is not None and self._must_retry():
                    time.sleep(min(CLOSING_PAUSE, max(0.0, self._deadline - time.monotonic())))
                    self._attempt(forced=True)
                self._end()
            return
        with self._answer:
            ticket = self._asked
            self._answer.wait_for(lambda: self._answered >= ticket, timeout=_left(deadline))
        if self._closing is not None:
            self._thread.join(timeout=_left(deadline))

    def _launch(self) -> bool:
        thread = threading.Thread(target=self._run, name=f"dltools {self.name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down: no new threads
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause())
            self._wake.clear()
            asked, closing = self._asked, self._closing is not None
            self._attempt(forced=asked > self._answered or closing)
            if closing and self._must_retry():
                continue
            if closing:
                self._end()
            with self._answer:
                self._answered = asked
                self._answer.notify_all()
            if closing:
                return

    def _pause(self) -> float:
        if self._closing is not None:
            return 0.0 if self._failures == 0 else min(CLOSING_PAUSE, max(0.0, self._deadline - time.monotonic()))
        return self._secs if self.state != "degraded" else max(self._secs, self._next_try - time.monotonic())

    def _must_retry(self) -> bool:
        return self.state == "degraded" and time.monotonic() < self._deadline

    def _attempt(self, *, forced: bool) -> None:
        now = time.monotonic()
        if self.state in ("failed", "closed") or (now < self._next_try and not forced):
            return
        attempt = Attempt()
        with attempt:
            self._work()
        if attempt.error is None:
            self.state, self._failures, self._next_try = "ok", 0, 0.0
        else:
            self._fail(attempt.error, early=now < self._next_try and self._closing is None)

    def _fail(self, error: Exception, *, early: bool) -> None:
        """An attempt that a flush forced before its time does not count: flushes must not use up the retries."""
        first, self.error = self.state != "degraded", f"{type(error).__name__}: {error}"
        if not early:
            self._failures += 1
            self._next_try = time.monotonic() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._failures - 1))
        self.state = "failed" if self._raises or self._failures >= MAX_FAILURES else "degraded"
        if self._raises:
            self._notices.append(Notice(f"writer {self.name!r} failed: {self.error}", error))
        elif self.state == "failed":
            self._notices.append(
                Notice(f"writer {self.name!r} is given up after {MAX_FAILURES} failures: {self.error}")
            )
        elif first:
            self._notices.append(Notice(f"writer {self.name!r} failed and will be tried again: {self.error}"))

    def _end(self) -> None:
        if self._closing is None or self.state == "closed":
            return
        attempt = Attempt()
        with attempt:
            if self._finish is not None:
                self._finish(self._closing)
        if attempt.error is not None:
            self.state, self.error = "failed", f"{type(attempt.error).__name__}: {attempt.error}"
            self._notices.append(Notice(f"writer {self.name!r} failed to close: {self.error}"))
        elif self.state not in ("failed", "degraded"):
            self.state = "closed"


def _left(deadline: float) -> float | None:
    return None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
