"""A writer's life in a process: opened at the first record, flushed, rewound, closed; forks, ranks and exits."""

from __future__ import annotations

import atexit
import os
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, final

from dltools.cfgutils.component import Component
from dltools.dist import rank
from dltools.errors import DltoolsError
from dltools.writers.cfg import Delivery, RunInfo, WriterCfg
from dltools.writers.records import Params, Record, Scalars, check_name, check_step
from dltools.writers.staging import Numbers, Stage, Staged
from dltools.writers.worker import Notice, Worker

C = TypeVar("C", bound=WriterCfg[Any])


class Lifecycle(Component[C], ABC):
    """What a writer does besides taking records; :class:`~dltools.writers.base.Writer` adds what loops log."""

    def __init__(self, cfg: C | None = None, /, **fields: Any) -> None:
        self.name: str = ""
        self.notices: deque[Notice] = deque()
        self._lock, self._pid, self._warned = threading.RLock(), 0, False
        self._active = self._closed = False
        self._rank, self._next = 0, dict[str, int]()
        self._stage = Stage(self._land)
        self._mover: Worker | None = None
        super().__init__(cfg, **fields)
        self.name = self.name or self.cfg.tag

    @abstractmethod
    def put(self, record: Record) -> None:
        """Take a record; calls do not overlap."""

    @abstractmethod
    def open(self, run: RunInfo) -> Mapping[str, int]:
        """Get ready, at the first record; returns the next step of each axis, as far as it is known."""

    @abstractmethod
    def begin(self, status: str | None, deadline: float) -> None:
        """Start to deliver everything; with a status, for the last time."""

    @abstractmethod
    def wait(self, deadline: float) -> None:
        """Wait until what was begun is done."""

    @abstractmethod
    def cut(self, following: Mapping[str, int]) -> None:
        """Forget each axis from its step on."""

    @abstractmethod
    def deliveries(self) -> dict[str, Delivery]:
        """Every backend's state, by name."""

    @abstractmethod
    def run_ids(self, given: Mapping[str, str]) -> dict[str, str]:
        """Take the ids that servers gave to this run, by backend, and return those that are known."""

    @final
    def flush(self, timeout: float | None = None) -> None:
        """Wait until all earlier calls are with the operating system or the server.

        A backend that fails is tried once and not waited for; ``health()`` names it. Waits ``timeout`` seconds at most.
        """
        if self._forked():
            return
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        self._move(None, deadline)
        if self._active and not self._closed:
            self.begin(None, deadline)
            self.wait(deadline)
            if rank() != self._rank:
                given = f"{type(self).__name__} was opened on rank {self._rank} and is now on rank {rank()}"
                raise DltoolsError(given, hint="initialise the process group before the first record")
        self._tell()

    @final
    def close(self, timeout: float = 30.0, *, status: str = "ok") -> dict[str, Delivery]:
        """Deliver what is there, close the backends, and say how each has done; a second call only says it."""
        if self._forked():
            return {}
        deadline = time.monotonic() + timeout
        self._move(status, deadline)
        with self._lock:
            first, self._closed = not self._closed, True
        if first:
            atexit.unregister(self._at_exit)
        if first and self._active:
            self.begin(status, deadline)
            self.wait(deadline)
        self._tell(may_raise=status == "ok")
        return self.health()

    @final
    def health(self) -> dict[str, Delivery]:
        """Every backend's state and counts, by name."""
        return self.deliveries()

    @final
    def rewind(self, step: int, *, axis: str = "step") -> None:
        """Forget what was logged on this axis from ``step`` on: training continues from an earlier state."""
        self._cut({check_name(axis, "axis"): check_step(step)}, others=False)

    @final
    def state_dict(self) -> dict[str, Any]:
        """``{"next": {axis: step}, "runs": {name: id}}``: how far each axis is, and what servers call the run.

        ``next`` is ``{}`` before the first record, when nothing is open yet: going on from there begins at 0.
        """
        return {"next": dict(self._next), "runs": self.run_ids({})}

    @final
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state: every axis is rewound to where it was; one that the state does not know, to 0."""
        self.run_ids(state["runs"])
        self._cut({check_name(axis, "axis"): check_step(step) for axis, step in state["next"].items()}, others=True)

    @final
    def start(self, run: RunInfo) -> bool:
        """Open below the run's folder; false on a rank that the config leaves out."""
        if not self._pid:
            self._rank, active = run.rank, run.rank == 0 or self.cfg.ranks == "all"
            if active:
                self._next = dict(self.open(replace(run, dir=run.dir / str(getattr(self.cfg, "dir", "")))))
            self._pid, self._active = os.getpid(), active
        return self._active

    def _cut(self, following: dict[str, int], *, others: bool) -> None:
        if self._forked():
            return
        self.flush(timeout=10)
        with self._lock:
            if self._enter():
                following |= {axis: 0 for axis in self._next if others and axis not in following}
                self.cut(following)
                for axis, step in following.items():
                    self._next[axis] = step if others else min(step, self._next.get(axis, 0))

    def _send(self, record: Record) -> None:
        with self._lock:
            if self._enter():
                if record.step >= self._next.get(record.axis, 0) and not isinstance(record, Params):
                    self._next[record.axis] = record.step + 1
                self.put(record)
        if self.notices:
            self._tell()

    def _delay(self, record: Scalars, numbers: Numbers, staged: list[Staged]) -> None:
        """Keep a row until its values on a device have been moved to the host."""
        with self._lock:
            if self._enter():
                self._next[record.axis] = max(record.step + 1, self._next.get(record.axis, 0))
                self._stage.add(record, numbers, staged)
                if self._mover is None:
                    self._mover = Worker(
                        "device values", self._stage.work, secs=self.cfg.flush_secs, notices=self.notices
                    )
                self._mover.nudge()

    def _land(self, record: Record) -> None:
        with self._lock:
            self.put(record)

    def _enter(self) -> bool:
        """Open at first use; false where this process writes nothing."""
        if self._closed:
            raise DltoolsError(f"{type(self).__name__} is closed", hint="log before close(), or build another writer")
        if not self._pid:
            self.start(RunInfo(Path(), rank()))
            atexit.register(self._at_exit)
        return self._active

    def _move(self, status: str | None, deadline: float) -> None:
        """Bring values that are on a device to the host."""
        if self._mover is not None:
            self._mover.begin(status, deadline)
            self._mover.wait(deadline)

    def _tell(self, *, may_raise: bool = True) -> None:
        """In the caller's thread, what the backends have met since."""
        while self.notices:
            notice = self.notices.popleft()
            if notice.error is not None and may_raise:
                raise DltoolsError(notice.text) from notice.error
            warnings.warn(notice.text, RuntimeWarning, stacklevel=4)

    def _forked(self) -> bool:
        """Whether this is a child of the process that opened the writer; a lost thread may hold its locks."""
        if not self._pid or self._pid == os.getpid():
            return False
        if not self._warned:
            self._warned = True
            text = f"{type(self).__name__} was opened in process {self._pid}; this forked child drops what it logs"
            warnings.warn(text, RuntimeWarning, stacklevel=4)
        return True

    def _at_exit(self) -> None:
        if self._pid == os.getpid():
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(status="ok" if kind is None else "failed")

    def __reduce__(self) -> tuple[type[Self], tuple[C]]:
        if self._pid:
            raise TypeError(f"an opened {type(self).__name__} cannot be pickled; send its config, {self.cfg!r}")
        return type(self), (self.cfg,)
