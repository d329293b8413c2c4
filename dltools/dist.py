"""The process group, as far as dltools needs it: rank, world, one reduction of many states, a ragged gather."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as c10d
from torch import Tensor

from dltools.errors import SyncError
from dltools.states import Apart, State, Sum, Table

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
    fit follows in a second. Integers whose sum reaches 2^52 are sent again as integers; the rows of all tables go in
    one all_gather. The result is on the host. Without a group: the tensors as they are.

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
        ctx.start = int(sum(lengths[: rank(group)]))
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
        self.parts, self.group, self.timeout = parts, group, timeout
        self.schema = schema or "\n".join(str(kind) for kind, _ in parts)
        self.rank, self.world, self.device = rank(group), world(group), device(group)
        self.tables = [(i, kind) for i, (kind, _) in enumerate(parts) if isinstance(kind, Table)]

    def run(self) -> list[Tensor]:
        if self.device.type == "cuda":
            self.wait(lambda: handshake(self.group, self.timeout))
        rows = torch.zeros(self.world, len(self.tables), dtype=torch.float64)
        rows[self.rank] = torch.tensor([float(len(self.parts[i][1])) for i, _ in self.tables])
        packed = [self.pack(kind, x) for kind, x in self.parts]
        payload = torch.cat([rows.reshape(-1), *packed])
        used = 2 * self.world
        frame = torch.zeros(max(FRAME, 4 * self.world), dtype=torch.float64)
        first = payload[: len(frame) - used]
        frame[2 * self.rank : 2 * self.rank + 2] = self.header(len(payload))
        frame[used : used + len(first)] = first
        frame = self.all_reduce(frame)
        self.check(frame[:used].reshape(self.world, 2))
        merged = frame[used : used + len(first)]
        if len(rest := payload[len(first) :]):
            merged = torch.cat([merged, self.all_reduce(rest)])
        pieces = torch.split(merged, [rows.numel(), *map(len, packed)])
        return self.unpack(pieces[1:], pieces[0].reshape(rows.shape).long())

    def header(self, length: int) -> Tensor:
        """What stands first, at a place of each rank's own: the hash of its schema, the length of its payload."""
        digest = int.from_bytes(hashlib.blake2b(self.schema.encode(), digest_size=6).digest(), "big")
        return torch.tensor([float(digest), float(length)], dtype=torch.float64)

    def check(self, fixed: Tensor) -> None:
        if bool((fixed == fixed[0]).all()):
            return
        sent = self.schema.encode()
        lengths = self.all_gather(torch.tensor([len(sent)]), [1] * self.world)
        texts = self.all_gather(torch.tensor([*sent], dtype=torch.uint8), [int(n) for n in lengths])
        schemas = [bytes(part.tolist()).decode() for part in texts]
        other = int((fixed != fixed[0]).any(1).byte().argmax())
        lines = [schemas[r].split("\n") if schemas[r] else [] for r in (0, other)]
        lists = ([*own, "nothing more", f"{fixed[r, 1]:.0f} numbers"] for own, r in zip(lines, (0, other), strict=True))
        here, there = next((a, b) for a, b in zip(*lists, strict=False) if a != b)
        raise SyncError(
            f"rank 0 and rank {other} collect different states: {here!r} and {there!r}",
            expected="the same metrics, losses and meters, configured alike, on every rank",
        )

    def pack(self, kind: State, x: Tensor) -> Tensor:
        """The numbers of a state whose sum over the ranks holds its merge."""
        if isinstance(kind, Table):
            return torch.zeros(0, dtype=torch.float64)
        flat = x.detach().to("cpu", torch.float64).reshape(-1)
        if isinstance(kind, Apart):  # a block in which each rank has a row of its own
            block = torch.zeros(self.world, flat.numel(), dtype=torch.float64)
            block[self.rank] = flat
            return block.reshape(-1)
        return flat

    def unpack(self, pieces: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
        out: list[Tensor] = []
        for (kind, x), flat in zip(self.parts, pieces, strict=True):
            if isinstance(kind, Apart):
                out.append(kind.choose(flat.reshape(self.world, *x.shape)))
            else:
                out.append(flat.reshape(x.shape) if isinstance(kind, Sum) else x)
        self.resend_large(out)
        self.join_tables(out, rows)
        return [x.to(kind.dtype) for (kind, _), x in zip(self.parts, out, strict=True)]

    def resend_large(self, out: list[Tensor]) -> None:
        """Every rank sees the same sums, so all agree that integers past 2^52 go again, as they are."""
        whole = [
            i for i, (kind, _) in enumerate(self.parts) if isinstance(kind, Sum) and not kind.dtype.is_floating_point
        ]
        if not any(bool((out[i].abs() >= EXACT).any()) for i in whole):
            return
        sums = self.all_reduce(torch.cat([self.parts[i][1].detach().cpu().reshape(-1) for i in whole]))
        for i, part in zip(whole, torch.split(sums, [out[i].numel() for i in whole]), strict=True):
            out[i] = part.reshape(out[i].shape)

    def join_tables(self, out: list[Tensor], rows: Tensor) -> None:
        """One padded gather of bytes for all tables; samples in the order of their number on a rank, then of the rank.

        That is the order of one process where rank r has the samples r, r + W, ...
        """
        if not int(rows.sum()):
            return
        own = torch.cat([self.parts[i][1].detach().cpu().reshape(-1) for i, _ in self.tables])
        sizes = rows * torch.tensor([kind.shape[1] for _, kind in self.tables])
        everyone = self.all_gather(own, [int(n) for n in sizes.sum(1)])
        pieces = [torch.split(part, size.tolist()) for part, size in zip(everyone, sizes, strict=True)]
        for place, (i, kind) in enumerate(self.tables):
            samples = [piece[place].reshape(-1, kind.rows * kind.shape[1]) for piece in pieces]
            numbers = torch.cat([torch.arange(len(part)) for part in samples])
            out[i] = torch.cat(samples)[numbers.argsort(stable=True)].reshape(-1, kind.shape[1])

    def all_reduce(self, x: Tensor) -> Tensor:
        """The sum over the ranks, on the host."""
        sent = x.to(self.device)
        self.wait(lambda: c10d.all_reduce(sent, group=self.group, async_op=True))
        return sent.cpu()

    def all_gather(self, x: Tensor, sizes: list[int]) -> list[Tensor]:
        """The vectors of all ranks, of known sizes, on the host."""
        padded = torch.zeros(max(sizes), dtype=x.dtype)
        padded[: len(x)] = x
        sent = padded.to(self.device)
        parts = [torch.empty_like(sent) for _ in sizes]
        self.wait(lambda: c10d.all_gather(parts, sent, group=self.group, async_op=True))
        return [part[:n].cpu() for part, n in zip(parts, sizes, strict=True)]

    def wait(self, start: Callable[[], Any]) -> None:
        """Wait for a collective; a rank that stays away becomes a readable error after the timeout."""
        try:
            work = start()
            if work is not None:
                work.wait(timedelta(seconds=self.timeout)) if self.timeout else work.wait()
        except RuntimeError as error:
            raise SyncError(
                f"rank {self.rank} waited in vain for the others: {error}",
                hint="collect() must be called on every rank, in the same order",
            ) from error


def handshake(group: Group = None, timeout: float | None = None) -> None:
    """Wait in the store of the job until all ranks have come here as often; a kernel of NCCL cannot be interrupted.

    Raises RuntimeError, naming the ranks that are missing.
    """
    store = c10d.distributed_c10d._get_default_store()
    prefix, me = f"dltools/{getattr(group, 'group_name', '')}", rank(group)
    turn = store.add(f"{prefix}/{me}", 1)
    store.set(f"{prefix}/{me}/{turn}", "")
    keys = [f"{prefix}/{r}/{turn}" for r in range(world(group))]
    try:
        store.wait(keys, timedelta(seconds=timeout)) if timeout else store.wait(keys)
    except RuntimeError as error:
        away = [r for r, key in enumerate(keys) if not store.check([key])]
        raise RuntimeError(f"ranks {away} have not come") from error
    store.delete_key(f"{prefix}/{me}/{turn - 1}")  # whoever has come to this turn has left the last
