"""Native threads around a fork: the child has the thread pools of its parent, but none of their threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch


class Threads(NamedTuple):
    """How many threads torch and OpenCV compute with."""

    torch: int
    cv2: int
    """As good as 1 while OpenCV is not imported."""

    @classmethod
    def now(cls) -> Threads:
        """The numbers of this process."""
        cv2 = sys.modules.get("cv2")
        return cls(torch.get_num_threads(), cv2.getNumThreads() if cv2 else 1)

    def apply(self) -> None:
        """Set what differs; what is as it should be is not touched."""
        now = Threads.now()
        if self.torch != now.torch:
            torch.set_num_threads(self.torch)
        if self.cv2 != now.cv2 and (cv2 := sys.modules.get("cv2")) is not None:
            cv2.setNumThreads(self.cv2)


ONE = Threads(1, 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread each while the process forks; afterwards the numbers are as before.

    A child that is forked in between inherits the ones. Were they set in the child, it would hang for ever if its
    parent has computed with several threads: OpenCV first dismisses the threads it has, which means waiting for
    threads that did not come along.
    """
    before = Threads.now()
    ONE.apply()
    try:
        yield
    finally:
        before.apply()
