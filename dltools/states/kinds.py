"""The kinds of a state: its shape and dtype, what it starts from, how two of them merge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from dltools.errors import ConfigError

UNSIGNED = {torch.uint16, torch.uint32, torch.uint64}
"""Dtypes of which torch cannot take single elements."""


@dataclass(frozen=True)
class State(ABC):
    """The kind of one state: shape, dtype, what it starts from, how two merge."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float64) -> None:
        object.__setattr__(self, "shape", shape or (1,))  # never 0-d: the compiler drops in-place updates of those
        object.__setattr__(self, "dtype", dtype)

    @abstractmethod
    def start(self, device: torch.device) -> Tensor:
        """The value before anything was counted."""

    @abstractmethod
    def merge(self, into: Tensor, other: Tensor) -> None:
        """Add what another process or period has counted, in place."""

    def total(self, stored: Tensor) -> Tensor:
        """The value that a stored tensor stands for."""
        return stored


class Sum(State):
    """A sum. Integers are exact; floats are a Neumaier pair, sum and compensation, so that small terms are not lost.

    >>> Sum(2), Sum(dtype=torch.float64)
    (Sum(shape=(2,), dtype=torch.int64), Sum(shape=(1,), dtype=torch.float64))
    """

    def __init__(self, *shape: int, dtype: torch.dtype = torch.int64) -> None:
        super().__init__(*shape, dtype=dtype)

    def start(self, device: torch.device) -> Tensor:
        shape = (2, *self.shape) if self.dtype.is_floating_point else self.shape
        return torch.zeros(shape, dtype=self.dtype, device=device)

    def merge(self, into: Tensor, other: Tensor) -> None:
        if self.dtype.is_floating_point:
            self.add(into, other[0])
            into[1] += other[1]
        else:
            into += other

    def add(self, stored: Tensor, value: Tensor) -> None:
        """Add a tensor of the state's shape, in place."""
        if not self.dtype.is_floating_point:
            stored += value
            return
        old, value = stored[0], value.to(stored.dtype)
        new = old + value
        lost = torch.where(old.abs() >= value.abs(), (old - new) + value, (value - new) + old)
        stored[1] += torch.where(new.isfinite(), lost, 0)
        stored[0] = new

    def total(self, stored: Tensor) -> Tensor:
        return stored.sum(0) if self.dtype.is_floating_point else stored


class Apart(State):
    """A state that is no sum: of several processes each sends its own, and one is made of them."""

    @abstractmethod
    def choose(self, each: Tensor) -> Tensor:
        """The merge of several, (W, *shape), in the order of the ranks."""

    def merge(self, into: Tensor, other: Tensor) -> None:
        into.copy_(self.choose(torch.stack([into, other])))


class Min(Apart):
    """The least value seen, from +inf."""

    def start(self, device: torch.device) -> Tensor:
        return torch.full(self.shape, inf, dtype=self.dtype, device=device)

    def choose(self, each: Tensor) -> Tensor:
        return each.amin(0)


class Max(Apart):
    """The greatest value seen, from -inf."""

    def start(self, device: torch.device) -> Tensor:
        return torch.full(self.shape, -inf, dtype=self.dtype, device=device)

    def choose(self, each: Tensor) -> Tensor:
        return each.amax(0)


class First(Apart):
    """The number that was seen first, or one for each name: 1, then they; all 0 before. ``States.see`` keeps them.

    >>> First(), First("pred", "target")
    (First(''), First('pred', 'target'))
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names or ("",))
        super().__init__(1 + len(self.names))

    def __repr__(self) -> str:
        return f"First({', '.join(map(repr, self.names))})"

    def start(self, device: torch.device) -> Tensor:
        return torch.zeros(self.shape, dtype=self.dtype, device=device)

    def choose(self, each: Tensor) -> Tensor:
        return each.index_select(0, (each[:, 0] > 0).byte().argmax(keepdim=True))[0]

    def merge(self, into: Tensor, other: Tensor) -> None:
        into.copy_(torch.where(into[0] > 0, into, other))

    def words(self, stored: Tensor) -> str:
        """The numbers with their names; empty before anything was seen.

        >>> First("pred", "target").words(torch.tensor([1.0, 0.5, 7.0]))
        'pred 0.5, target 7'
        """
        told = [str(int(x)) if x.is_integer() and abs(x) < 2**64 else f"{x:.6g}" for x in stored[1:].tolist()]
        named = [f"{name} {x}".strip() for name, x in zip(self.names, told, strict=True)]
        return ", ".join(named) if stored[0] else ""

    def see(self, stored: Tensor, where: Tensor, *numbers: Tensor) -> None:
        """Keep what stands in ``numbers``, one for each name, where the first True or 1 of ``where`` is."""
        if not where.numel():
            return
        flags = where.reshape(-1).byte()
        place = flags.argmax(keepdim=True)
        whole = [x.double() if x.dtype in UNSIGNED else x for x in (flags, *numbers)]
        seen = torch.cat([x.reshape(-1).index_select(0, place).double() for x in whole]).to(stored.device)
        stored.copy_(torch.where(seen[0] > stored[0], seen, stored))


class Hist16(Sum):
    """Counts of 2^16 score cells, negatives and positives, and one cell for NaN scores: (channels, 2, 65537)."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__(channels, 2, 65537)


class Table(State):
    """Rows whose number nobody knows in advance: columns of numbers, kept together as bytes.

    A sample has ``rows`` rows, which stay together when ranks are merged. A width makes a column of vectors.

    >>> Table({"distance": torch.float64, "image": torch.int64}, rows=3)
    Table(distance=torch.float64, image=torch.int64, rows=3)
    """

    columns: dict[str, tuple[torch.dtype, int]]
    rows: int

    def __init__(self, columns: Mapping[str, torch.dtype | tuple[torch.dtype, int]], rows: int = 1) -> None:
        own = {name: one if isinstance(one, tuple) else (one, 1) for name, one in columns.items()}
        super().__init__(0, sum(dtype.itemsize * width for dtype, width in own.values()), dtype=torch.uint8)
        object.__setattr__(self, "columns", own)
        object.__setattr__(self, "rows", rows)

    def __repr__(self) -> str:
        columns = ", ".join(f"{k}={dtype}" + f"[{n}]" * (n > 1) for k, (dtype, n) in self.columns.items())
        return f"Table({columns}, rows={self.rows})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def start(self, device: torch.device) -> Tensor:
        return torch.zeros(self.shape, dtype=torch.uint8, device=device)

    def merge(self, into: Tensor, other: Tensor) -> None:
        raise TypeError(f"the rows of a table are joined, not added: {len(into)} and {len(other)}")

    def pack(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Columns as one (n, bytes of a row) tensor."""
        if rows.keys() != self.columns.keys():
            raise ConfigError(f"rows have the columns {sorted(rows)}", expected=", ".join(self.columns))
        parts = [rows[k].detach().to(dtype).reshape(-1, n) for k, (dtype, n) in self.columns.items()]
        return torch.cat([part.clone(memory_format=torch.contiguous_format).view(torch.uint8) for part in parts], 1)

    def unpack(self, packed: Tensor) -> dict[str, Tensor]:
        """The columns again, each (n,), or (n, width) where they are vectors."""
        parts = torch.split(packed, [dtype.itemsize * n for dtype, n in self.columns.values()], 1)
        whole = [part.clone(memory_format=torch.contiguous_format) for part in parts]
        return {k: x.view(dtype).squeeze(1) for (k, (dtype, _)), x in zip(self.columns.items(), whole, strict=True)}
