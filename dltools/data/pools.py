"""Who makes the batches: this process, threads, or worker processes. Always in order, a few batches ahead."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from pickle import PicklingError
from typing import Any, Literal, TypeVar

from dltools.data.threads import one_thread
from dltools.data.worker import enter_worker, run
from dltools.errors import ConfigError, DltoolsError

J = TypeVar("J")
Task = Callable[[Any], Any]


class Pool:
    """Applies one task to many jobs; the workers start with the first job and stay until ``close``.

    Processes start as ``multiprocessing.set_start_method`` says, by default on Linux by a fork: that takes
    milliseconds, copies no data and can pass any source and transform on. Locks that other threads hold at that moment
    stay locked in a fork, which is why it happens with the native thread pools put away. Where a library of your own
    cannot stand a fork, set "forkserver": then everything must be picklable, or a ConfigError says so.

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

        Raises DltoolsError if a worker process dies, after the results that were made before; the next ``map`` starts
        new ones.
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
            return self._executor.submit(run, job)
        except BrokenProcessPool as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed

    def _next(self, ahead: deque[tuple[J, Future[Any]]]) -> tuple[J, Any]:
        job, future = ahead.popleft()
        try:
            return job, future.result()
        except BrokenProcessPool as error:
            self._executor = None
            self._ahead.clear()
            raise DltoolsError(
                "a data worker died (killed, out of memory, or a crash in native code)",
                hint="iterate again to go on from the same batch; workers=0 shows a crash where it happens",
            ) from error

    def _cancel(self) -> None:
        """Let go of batches nobody will ask for; wait for those being made, because a worker must live until its
        tensors are received."""
        wait([future for _, future in self._ahead if not future.cancel()])
        self._ahead.clear()

    def _start(self) -> Executor:
        if self.kind == "thread":
            return ThreadPoolExecutor(self.workers, thread_name_prefix="dltools-data")
        if multiprocessing.current_process().daemon:
            raise ConfigError("a daemonic process cannot have workers", hint='workers=0, or pool="thread"')
        context = multiprocessing.get_context()
        executor = ProcessPoolExecutor(self.workers, context, initializer=enter_worker, initargs=(self.task,))
        try:
            with _forking() if context.get_start_method() == "fork" else nullcontext():
                executor.submit(os.getpid)  # starts one worker at least; when forking, all of them
        except (PicklingError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"workers are started by {context.get_start_method()!r}, and cannot be sent source, transform and "
                f"collate: {error}",
                hint='define what they use at the top of a module, or use pool="thread", workers=0 or a fork',
            ) from error
        return executor


@contextmanager
def _forking() -> Iterator[None]:
    """Python 3.12 warns of the danger that ``one_thread`` averts."""
    with one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        yield
