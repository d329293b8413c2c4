"""The ranks behind a model under DDP or FSDP2: when they add gradients, and how counts and leftovers are added."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as c10d
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dltools import dist
from dltools.handlers.accumulate import Accumulate, Count
from dltools.handlers.foreach import copy_
from dltools.handlers.sharded import is_sharded


class Parallel:
    """One rank without a wrapper; else the ranks among which the wrapper averages gradients."""

    def __init__(self, model: nn.Module, params: list[Tensor]) -> None:
        self.wrapped: list[DistributedDataParallel] = [
            module for module in model.modules() if isinstance(module, DistributedDataParallel)
        ]
        self.must_sync: bool = any(module.static_graph for module in self.wrapped)
        """Whether the next backward pass has to be one with collectives: the first of a static graph is."""
        self.is_sharded: bool = any(map(is_sharded, params))
        """Whether FSDP2 (or tensor parallelism) keeps the parameters, and averages gradients after each micro-batch."""
        self.group: Any = self.wrapped[0].process_group if self.wrapped else None
        self.world: int = dist.world(self.group) if self.wrapped or self.is_sharded else 1
        self.rank: int = dist.rank(self.group) if self.world > 1 else 0

    def __repr__(self) -> str:
        kind = "DDP" if self.wrapped else "FSDP"
        return f"{kind} over {self.world} ranks" if self.world > 1 else "one rank"

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within it DDP leaves the gradients of each rank alone; FSDP2 adds them after every micro-batch."""
        with ExitStack() as stack:
            for module in self.wrapped:
                stack.enter_context(module.no_sync())
            yield

    def sum_(self, x: Tensor) -> Tensor:
        """Add over the ranks, in place."""
        if self.world > 1:
            c10d.all_reduce(x, group=self.group)
        return x

    def estimate(self, window: Accumulate, count: Count | None, device: torch.device) -> float | Tensor:
        """About the count of a window on a rank, alike on all; fp16 sums would overflow if not divided by it.

        It is found in the first window, by all ranks together: with or without counts, or a micro-batch.
        """
        if window.estimate is None and (count is not None or self.world > 1):
            largest = torch.as_tensor(0 if count is None else count, device=device).to(torch.float32, copy=True)
            if self.world > 1:
                c10d.all_reduce(largest, c10d.ReduceOp.MAX, group=self.group)
            window.estimate = largest.clamp(min=1).log2().floor().exp2() * window.cfg.window
        return window.cfg.window if window.estimate is None else window.estimate

    def share(self, count: Count, device: torch.device) -> Count:
        """The count of all ranks over their number: what an average of sums is divided by."""
        if self.world == 1:
            return count
        total = torch.as_tensor(count, device=device).to(torch.int64, copy=True)
        return self.sum_(total).double() / self.world

    def survey(self, window: Accumulate, params: list[Tensor]) -> tuple[int, int, bool, list[Tensor]]:
        """Of all ranks: the count of the open window, its micro-batches, whether gradients are still those of each rank
        alone, and then the parameters that have one on any rank. It waits; all ranks call it.
        """
        device = params[0].device
        head = [window.size, int(window.is_local), *(param.grad is not None for param in params)]
        told = torch.cat([torch.as_tensor(window.whole(), device=device).reshape(1), torch.tensor(head, device=device)])
        whole, size, is_local, *present = self.sum_(told).tolist()
        there = [param for param, is_there in zip(params, present, strict=True) if is_there and is_local]
        return whole, size, bool(is_local), there

    def finish(self, window: Accumulate, params: list[Tensor]) -> Count | float | None:
        """Average what is left in an open window; gives the share of the count, None if no rank has an open window.

        All ranks call it, even with an empty window. A parameter with a gradient on any rank then has one on all.
        """
        if self.world == 1:
            return window.whole() if window.size else None
        whole, size, _, there = self.survey(window, params)  # at the end of an epoch, where waiting is no loss
        for param in there:
            if param.grad is None:
                param.grad = torch.zeros_like(param)
        if there:
            self.average_(there)
        return whole / self.world if size else None

    def average_(self, params: list[Tensor]) -> None:
        """Average the gradients over the ranks in place; those of a sharded model are already averages."""
        if not self.is_sharded:
            self.add_([param.grad for param in params if param.grad is not None], self.world)

    def add_(self, grads: list[Tensor], divisor: int = 1) -> None:
        """Add tensors over the ranks in place, one collective per dtype, and divide."""
        grads = [torch.view_as_real(grad) if grad.is_complex() else grad for grad in grads]
        for dtype in dict.fromkeys(grad.dtype for grad in grads):
            same = [grad for grad in grads if grad.dtype == dtype]
            flat = self.sum_(torch.cat([grad.reshape(-1) for grad in same])).div_(divisor)
            parts = torch.split(flat, [grad.numel() for grad in same])
            copy_(same, [part.view_as(grad) for part, grad in zip(parts, same, strict=True)])
