"""What runs in a worker process: the task it was started with, one job after another."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dltools.data.threads import ONE
from dltools.errors import DltoolsError

# torch.multiprocessing, imported with torch, has taught the pipes between processes to pass tensors in shared memory

_TASK: list[Callable[[Any], Any]] = []
"""Set once at the start, so that it is not sent again with every job."""


def enter_worker(task: Callable[[Any], Any]) -> None:
    """Make this process a worker: it computes with one thread and ends with its parent."""
    _TASK[:] = [task]
    ONE.apply()  # in a fork they are ones already
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"  # for an OpenCV that is imported later
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork has the handlers of its parent
    threading.Thread(target=_follow_parent, daemon=True).start()


def run(job: Any) -> Any:
    """The result of a job.

    An error that would not survive the way to the parent, since its class cannot be made from its ``args``, is told by
    a DltoolsError.
    """
    try:
        return _TASK[0](job)
    except Exception as error:
        if _can_travel(error):
            raise
        lines = [f"{type(error).__qualname__}: {error}", *getattr(error, "__notes__", [])]
        raise DltoolsError("\n".join(lines)) from error


def _can_travel(error: Exception) -> bool:
    with suppress(Exception):
        pickle.dumps(error)
        copy.copy(error)  # makes an object as unpickling does
        return True
    return False


def _follow_parent() -> None:
    """A worker ends with its parent, even when that is killed and can tell nobody."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
