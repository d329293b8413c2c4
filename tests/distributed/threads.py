"""In place of torch.distributed, for `dist.py` alone: ranks are threads of this process.

Many cases a second, where processes need seconds for one; what gloo itself does is tested with `spawn.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as c10d
from torch import Tensor

from dltools.errors import SyncError

GROUP = SimpleNamespace(group_name="some")
"""A group with a name."""


class Work:
    """A collective that has been started."""

    def __init__(self, finish: Callable[[timedelta | None], None]) -> None:
        self.wait = lambda limit=None: finish(limit)


class Ranks:
    """``with Ranks(3) as ranks: ranks.run(function)``, then ``ranks.names``: the collectives of rank 0.

    Every call must name the group.
    """

    def __init__(self, world: int, group: Any = GROUP) -> None:
        self.world, self.group, self.own, self.sent = world, group, threading.local(), list[Any]([None] * world)
        self.names: list[str] = []
        self.limits: set[timedelta | None] = set()
        self.meeting = threading.Barrier(world, timeout=20)
        store = c10d.HashStore()
        store.set_timeout(timedelta(seconds=20))
        self.distributed_c10d = SimpleNamespace(_get_default_store=lambda: store)

    def __enter__(self) -> Ranks:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("dltools.dist.c10d", self)
        return self

    def __exit__(self, *error: object) -> None:
        self.patch.undo()

    def run(self, function: Callable[[int], Any]) -> list[Any]:
        """``function(rank)`` of every rank; an error is a result."""
        found: list[Any] = [None] * self.world

        def one(rank: int) -> None:
            self.own.rank = rank
            try:
                found[rank] = function(rank)
            except Exception as error:
                found[rank] = error
                if not isinstance(error, SyncError):  # of which all ranks hear
                    self.meeting.abort()

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def get_rank(self, group: Any) -> int:
        assert group is self.group
        return int(self.own.rank)

    def get_world_size(self, group: Any) -> int:
        assert group is self.group
        return self.world

    def get_backend(self, group: Any) -> str:
        assert group is self.group
        return "gloo"

    def all_reduce(self, x: Tensor, *, group: Any, async_op: bool = False) -> Work | None:
        assert x.is_contiguous()
        return self.call("all_reduce", x, group, async_op, lambda each: x.copy_(torch.stack(each).sum(0)))

    def all_gather(self, parts: list[Tensor], x: Tensor, *, group: Any, async_op: bool = False) -> Work | None:
        assert len(parts) == self.world
        assert x.is_contiguous()

        def give(each: list[Tensor]) -> None:
            for part, one in zip(parts, each, strict=True):
                assert (part.shape, part.dtype) == (one.shape, one.dtype)
                part.copy_(one)

        return self.call("all_gather", x, group, async_op, give)

    def call(self, name: str, x: Tensor, group: Any, later: bool, give: Callable[[list[Tensor]], Any]) -> Work | None:
        assert group is self.group
        if self.own.rank == 0:
            self.names.append(name)

        def finish(limit: timedelta | None) -> None:
            self.limits.add(limit)
            self.sent[self.own.rank] = x.detach().clone()
            try:
                self.meeting.wait(limit.total_seconds() if limit else None)
                each = list(self.sent)
                self.meeting.wait()
            except threading.BrokenBarrierError:
                raise RuntimeError("timed out") from None
            assert len({(one.shape, one.dtype) for one in each}) == 1, "gloo would crash"
            give(each)

        if later:
            return Work(finish)
        finish(None)
        return None
