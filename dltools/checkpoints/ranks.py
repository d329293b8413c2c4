"""What the processes of a group do together: agree on what one of them found, or fail together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as c10d

from dltools import dist
from dltools.errors import CheckpointError, DltoolsError

T = TypeVar("T")


def exchange(value: Any) -> list[Any]:
    """A JSON value of every rank, in rank order."""
    if dist.world() == 1:
        return [value]
    line = bytearray(json.dumps(value).encode() + b"\n")
    sent = torch.frombuffer(line, dtype=torch.uint8).to(dist.device())
    return [json.loads(text) for text in bytes(dist.gather(sent).cpu().numpy()).splitlines()]


def together(work: Callable[[], T]) -> T:
    """Do something on every rank; what is raised on one is raised on all, as a CheckpointError on the others."""
    if dist.world() == 1:
        return work()
    try:
        result = work()
    except Exception as error:
        exchange([*_sentences(error), _errno(error)])
        raise
    for rank, told in enumerate(exchange(None)):
        if told is not None:
            given, expected, hint, code = told
            raise CheckpointError(f"rank {rank}: {given}", expected, hint) from (OSError(code, given) if code else None)
    return result


def on_first_rank(work: Callable[[], T]) -> T | None:
    """Do something on rank 0 while the others wait; None for them, and what is raised there is raised on all."""
    return together(lambda: work() if dist.rank() == 0 else None)


class Poll:
    """Asks every step whether any rank says yes; the answer comes a step later, so that no step waits for it."""

    def __init__(self, num_flags: int) -> None:
        self._flags = torch.zeros(num_flags, dtype=torch.int32, device=dist.device())
        self._work: Any = None

    def ask(self, flags: Sequence[bool]) -> list[bool]:
        """The answer to the last question, and a new question; alone, the answer itself."""
        if dist.world() == 1:
            return list(flags)
        answer = self.answer()
        self._flags = torch.tensor(flags, dtype=torch.int32, device=dist.device())
        self._work = c10d.all_reduce(self._flags, op=c10d.ReduceOp.MAX, async_op=True)
        return answer

    def answer(self) -> list[bool]:
        """The answer to the last question; no before the first."""
        if self._work is not None:
            self._work.wait()
            self._work = None
        return [bool(flag) for flag in self._flags.tolist()]


def _sentences(error: Exception) -> tuple[str, str, str]:
    return (error.given, error.expected, error.hint) if isinstance(error, DltoolsError) else (str(error), "", "")


def _errno(error: BaseException) -> int | None:
    cause = error.__cause__ if isinstance(error, DltoolsError) else error
    return (cause.errno or 5) if isinstance(cause, OSError) else None
