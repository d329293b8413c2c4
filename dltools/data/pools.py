"""Who makes the batches: this process, threads, or worker processes. Always in order, a few batches ahead."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, TypeVar

import torch

from dltools.errors import DltoolsError

J = TypeVar("J")
Task = Callable[[Any], Any]


class Pool:
    """Applies one task to many jobs; the workers start with the first job and stay until ``close``.

    >>> list(Pool(lambda job: job * 10, workers=2, kind="thread", prefetch=1).map([1, 2, 3]))
    [(1, 10), (2, 20), (3, 30)]
    """

    def __init__(self, task: Task, workers: int, kind: Literal["process", "thread"], prefetch: int) -> None:
        self.task: Task = task
        self.workers: int = workers
        self.kind: Literal["process", "thread"] = kind
        self.depth: int = workers * max(prefetch, 1)
        self._executor: Executor | None = None
        self._ahead: deque[tuple[Any, Future[Any]]] = deque()

    def map(self, jobs: Iterable[J]) -> Iterator[tuple[J, Any]]:
        """Each job with its result, in order, up to ``depth`` jobs ahead. What a task raises is raised here, at its
        place.

        Raises DltoolsError if a worker process dies; the next ``map`` starts new ones.
        """
        if not self.workers:
            yield from ((job, self.task(job)) for job in jobs)
            return
        self._cancel()
        ahead = self._ahead = deque()
        for job in jobs:
            ahead.append((job, self._submit(job)))
            if len(ahead) > self.depth:
                yield self._next(ahead)
        while ahead:
            yield self._next(ahead)

    def close(self) -> None:
        """Stop the workers; a later ``map`` starts new ones."""
        self._cancel()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _submit(self, job: Any) -> Future[Any]:
        if self._executor is None:
            self._executor = self._start()
        if self.kind == "thread":
            return self._executor.submit(self.task, job)
        try:
            return self._executor.submit(_run, job)
        except BrokenProcessPool as error:
            raise self._died() from error

    def _next(self, ahead: deque[tuple[J, Future[Any]]]) -> tuple[J, Any]:
        job, future = ahead.popleft()
        try:
            return job, future.result()
        except BrokenProcessPool as error:
            raise self._died() from error

    def _died(self) -> DltoolsError:
        self._executor = None
        self._ahead.clear()
        return DltoolsError(
            "a data worker died (killed, out of memory, or a crash in native code)",
            hint="iterate again to go on from the same batch; workers=0 shows a crash where it happens",
        )

    def _cancel(self) -> None:
        """Let go of batches nobody will ask for; wait for those being made, because a worker must live until its
        tensors are received."""
        wait([future for _, future in self._ahead if not future.cancel()])
        self._ahead.clear()

    def _start(self) -> Executor:
        if self.kind == "thread":
            return ThreadPoolExecutor(self.workers, thread_name_prefix="dltools-data")
        # torch.multiprocessing, imported with torch, has taught the pipes to pass tensors in shared memory
        return ProcessPoolExecutor(
            self.workers, multiprocessing.get_context(), initializer=_enter_worker, initargs=(self.task,)
        )


_TASK: list[Task] = []
"""The task of a worker process, set once at its start, so that it is not sent again with every job."""


def _enter_worker(task: Task) -> None:
    _TASK[:] = [task]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    torch.set_num_threads(1)
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"  # for a cv2 that is imported later
    if (cv2 := sys.modules.get("cv2")) is not None:
        cv2.setNumThreads(1)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """A worker ends with its parent, even when that is killed and can tell nobody."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _run(job: Any) -> Any:
    return _TASK[0](job)
