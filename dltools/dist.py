"""The process group, as far as dltools needs it: rank, world, one reduction of many states, a ragged gather."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as c10d
from torch import Tensor

from dltools.errors import SyncError
from dltools.states import Max, Min, State, Sum, Table

FRAME = 4096
"""Float64 numbers of the first all_reduce: the same on every rank, whatever each of them wants to send."""
EXACT = 2**52
"""Integers below it survive float64, and so does their sum if it is below too."""
Group = Any


def rank(group: Group = None) -> int:
    """Number of this process in the group; 0 without one."""
    return c10d.get_rank(group) if _is_on() else 0


def world(group: Group = None) -> int:
    """Processes in the group; 1 without one."""
    return c10d.get_world_size(group) if _is_on() else 1


def device(group: Group = None) -> torch.device:
    """Where tensors must be for the group's collectives."""
    nccl = _is_on() and "nccl" in str(c10d.get_backend(group))
    return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")


def flat_reduce(
    parts: Sequence[tuple[State, Tensor]],
    *,
    group: Group = None,
    schema: str = "",
    timeout: float | None = None,
) -> list[Tensor]:
    """Merge the stored tensors of many states over the ranks.

    One all_reduce of a fixed frame carries each rank's schema hash and payload length, then the payload; what does not
    fit follows in a second. Integers that reach 2^52 are sent again in halves; the rows of all tables go in one
    all_gather. Without a group: the tensors as they are.

    Raises SyncError on every rank if the schemas differ or a rank stays away.
    """
    stored = [tensor for _, tensor in parts]
    if world(group) == 1:
        return stored
    return _Exchange(parts, group, schema, timeout).run()


def gather(x: Tensor, *, group: Group = None, grad: bool = False) -> Tensor:
    """The tensors of all ranks, joined in dim 0 in rank order; their lengths may differ.

    With ``grad`` a rank's rows get the sum of the gradients that all ranks have for them.
    """
    if world(group) == 1:
        return x
    return _Gather.apply(x, group) if grad else _gather(x, group)  # type: ignore[no-untyped-call]


def _is_on() -> bool:
    return c10d.is_available() and c10d.is_initialized()


def _gather(x: Tensor, group: Group) -> Tensor:
    lengths = _all_gather(torch.tensor([len(x)], device=x.device), group)
    longest = int(torch.cat(lengths).max())
    padded = torch.cat([x, x.new_zeros(longest - len(x), *x.shape[1:])]).contiguous()
    parts = _all_gather(padded, group)
    return torch.cat([part[: int(n)] for part, n in zip(parts, lengths, strict=True)])


def _all_gather(x: Tensor, group: Group) -> list[Tensor]:
    parts = [torch.empty_like(x) for _ in range(world(group))]
    c10d.all_gather(parts, x, group=group)
    return parts


class _Gather(torch.autograd.Function):
    """Gather whose backward gives each rank the gradients of its own rows, summed over the ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        lengths = _all_gather(torch.tensor([len(x)], device=x.device), group)
        ctx.start = int(sum(lengths[: rank(group)], torch.zeros_like(lengths[0])))
        ctx.stop, ctx.group = ctx.start + len(x), group
        return _gather(x, group)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        total = grad_outputs[0].clone(memory_format=torch.contiguous_format)
        c10d.all_reduce(total, group=ctx.group)
        return total[ctx.start : ctx.stop], None


class _Exchange:
    """One merge of many states over the ranks."""

    def __init__(self, parts: Sequence[tuple[State, Tensor]], group: Group, schema: str, timeout: float | None) -> None:
        self.parts, self.group, self.schema, self.timeout = parts, group, schema, timeout
        self.rank, self.world, self.device = rank(group), world(group), device(group)
        self.tables = [i for i, (kind, _) in enumerate(parts) if isinstance(kind, Table)]

    def run(self) -> list[Tensor]:
        payload = torch.cat([torch.zeros(0, dtype=torch.float64), *(self.pack(kind, x) for kind, x in self.parts)])
        head = self.header(len(payload))
        used = head.numel()
        frame = torch.zeros(max(FRAME, 4 * self.world), dtype=torch.float64, device=self.device)
        first = payload[: max(0, len(frame) - used)]
        frame[: min(used, len(frame))] = head.reshape(-1)[: len(frame)]
        frame[used : used + len(first)] = first
        self.all_reduce(frame)
        frame = frame.cpu()
        self.check(frame[: 2 * self.world].reshape(self.world, 2))
        merged = frame[used : used + len(first)]
        if len(rest := payload[len(first) :]):
            rest = rest.to(self.device)
            self.all_reduce(rest)
            merged = torch.cat([merged, rest.cpu()])
        rows = frame[2 * self.world : used].reshape(self.world, len(self.tables)).long()
        return self.unpack(merged, rows)

    def header(self, length: int) -> Tensor:
        """Per rank: schema hash, payload length; then the rows of its tables."""
        digest = int.from_bytes(hashlib.blake2b(self.schema.encode(), digest_size=6).digest(), "big")
        fixed = torch.zeros(self.world, 2, dtype=torch.float64)
        fixed[self.rank] = torch.tensor([float(digest), float(length)])
        rows = torch.zeros(self.world, len(self.tables), dtype=torch.float64)
        rows[self.rank] = torch.tensor([float(len(self.parts[i][1])) for i in self.tables])
        return torch.cat([fixed.reshape(-1), rows.reshape(-1)])

    def check(self, fixed: Tensor) -> None:
        if bool((fixed == fixed[0]).all()):
            return
        texts = _gather(torch.tensor([*self.schema.encode()], dtype=torch.uint8, device=self.device), self.group)
        lengths = _gather(torch.tensor([len(self.schema.encode())], device=self.device), self.group)
        schemas = [bytes(part.tolist()).decode() for part in torch.split(texts.cpu(), lengths.tolist())]
        other = next((r for r, text in enumerate(schemas) if text != schemas[0]), 0)
        pairs = zip(f"{schemas[0]}\n(none)".splitlines(), f"{schemas[other]}\n(none)".splitlines(), strict=False)
        here, there = next(((a, b) for a, b in pairs if a != b), ("", ""))
        raise SyncError(
            f"rank 0 and rank {other} collect different states: {here!r} and {there!r}",
            expected="the same metrics, losses and meters, configured alike, on every rank",
        )

    def pack(self, kind: State, x: Tensor) -> Tensor:
        """The numbers of a state whose sum over the ranks holds its merge."""
        if isinstance(kind, Table):
            return torch.zeros(0, dtype=torch.float64)
        flat = x.detach().to("cpu", torch.float64).reshape(-1)
        if isinstance(kind, (Min, Max)):  # a block in which each rank has a row of its own
            block = torch.zeros(self.world, flat.numel(), dtype=torch.float64)
            block[self.rank] = flat
            return block.reshape(-1)
        return flat

    def unpack(self, merged: Tensor, rows: Tensor) -> list[Tensor]:
        sizes = [len(self.pack(kind, x)) for kind, x in self.parts]
        out: list[Tensor] = []
        for (kind, x), flat in zip(self.parts, torch.split(merged, sizes), strict=True):
            if isinstance(kind, (Min, Max)):
                block = flat.reshape(self.world, *x.shape)
                out.append(block.amin(0) if isinstance(kind, Min) else block.amax(0))
            else:
                out.append(flat.reshape(x.shape) if isinstance(kind, Sum) else x)
        self.resend_large(out)
        self.join_tables(out, rows)
        return [x.to(kind.dtype) for (kind, _), x in zip(self.parts, out, strict=True)]

    def resend_large(self, out: list[Tensor]) -> None:
        """Every rank sees the same sums, so all agree that integers past 2^52 go again, in halves."""
        whole = [
            i for i, (kind, _) in enumerate(self.parts) if isinstance(kind, Sum) and not kind.dtype.is_floating_point
        ]
        if not any(bool((out[i].abs() >= EXACT).any()) for i in whole):
            return
        flat = torch.cat([self.parts[i][1].detach().cpu().reshape(-1) for i in whole])
        halves = torch.stack([flat >> 26, flat & (2**26 - 1)]).to(self.device)
        halves = halves.to(torch.float64)
        self.all_reduce(halves)
        high, low = halves.cpu().long()
        sizes = [self.parts[i][1].numel() for i in whole]
        for i, part in zip(whole, torch.split((high << 26) + low, sizes), strict=True):
            out[i] = part.reshape(out[i].shape)

    def join_tables(self, out: list[Tensor], rows: Tensor) -> None:
        """One padded all_gather of bytes for all tables; rows come in rank order."""
        if not int(rows.sum()):
            return
        own = torch.cat([self.parts[i][1].detach().reshape(-1) for i in self.tables]).to(self.device)
        everyone = _gather_sized(own, self.bytes_per_rank(rows), self.group)
        for place, i in enumerate(self.tables):
            width = self.parts[i][0].shape[1]
            chunks = []
            for r, part in enumerate(everyone):
                sizes = [int(rows[r, k]) * self.parts[j][0].shape[1] for k, j in enumerate(self.tables)]
                chunks.append(torch.split(part, sizes)[place].reshape(-1, width))
            out[i] = torch.cat(chunks).cpu()

    def bytes_per_rank(self, rows: Tensor) -> list[int]:
        widths = torch.tensor([self.parts[i][0].shape[1] for i in self.tables])
        return [int(n) for n in (rows * widths).sum(1)]

    def all_reduce(self, x: Tensor) -> None:
        """In place; a rank that stays away becomes a readable error after the timeout."""
        try:
            work = c10d.all_reduce(x, group=self.group, async_op=True)
            if work is not None:
                work.wait(timedelta(seconds=self.timeout)) if self.timeout else work.wait()
        except RuntimeError as error:
            raise SyncError(
                f"rank {self.rank} waited in vain for the others: {error}",
                hint="collect() must be called on every rank, in the same order",
            ) from error


def _gather_sized(x: Tensor, sizes: list[int], group: Group) -> list[Tensor]:
    padded = torch.zeros(max(sizes), dtype=x.dtype, device=x.device)
    padded[: len(x)] = x
    return [part[:n] for part, n in zip(_all_gather(padded, group), sizes, strict=True)]
