"""States: tensors whose layout follows from a config alone, and which know how two of them merge.

Whatever losses, metrics and meters count stands in states; that is why one collective merges all over the ranks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from dltools.errors import ConfigError, did_you_mean

T = TypeVar("T")


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


class Min(State):
    """The least value seen, from +inf."""

    def start(self, device: torch.device) -> Tensor:
        return torch.full(self.shape, inf, dtype=self.dtype, device=device)

    def merge(self, into: Tensor, other: Tensor) -> None:
        torch.minimum(into, other, out=into)


class Max(State):
    """The greatest value seen, from -inf."""

    def start(self, device: torch.device) -> Tensor:
        return torch.full(self.shape, -inf, dtype=self.dtype, device=device)

    def merge(self, into: Tensor, other: Tensor) -> None:
        torch.maximum(into, other, out=into)


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


class States(Mapping[str, Tensor]):
    """The tensors of a layout, by name: counted into in place, on the device of the data.

    >>> states = States({"hits": Sum(), "error": Sum(dtype=torch.float64)})
    >>> states["hits"] += 3
    >>> states.add("error", torch.tensor([0.5]))
    >>> states["hits"], states["error"]
    (tensor([3]), tensor([0.5000], dtype=torch.float64))

    ``states[name]`` is the tensor itself for integers, minima and maxima; for a float sum, stored as a pair, it is
    the value.
    """

    def __init__(self, layout: Mapping[str, State], device: torch.device | str = "cpu") -> None:
        self.layout: dict[str, State] = dict(layout)
        self.device: torch.device = torch.device(device)
        self._made: dict[str, Any] | None = None
        self.reset()

    @classmethod
    def merged(cls, layout: Mapping[str, State], stored: Mapping[str, Tensor]) -> Self:
        """States on the host that nobody counts into: the tensors are not copied, and what ``once`` makes is kept."""
        self = cls.__new__(cls)
        self.layout, self.device, self._made = dict(layout), torch.device("cpu"), {}
        self._stored, self._num_rows = dict(stored), {}
        return self

    def once(self, name: str, make: Callable[[States], T]) -> T:
        """``make(self)``; of merged states, made once for all that read them and ask by the same name."""
        kept = {} if self._made is None else self._made
        if name not in kept:
            kept[name] = make(self)
        made: T = kept[name]
        return made

    def __getitem__(self, name: str) -> Tensor:
        return self.layout[self._known(name)].total(self.stored(name))

    def __setitem__(self, name: str, value: Tensor) -> None:
        """For ``states[name] += value``, which has changed the tensor already."""
        if value is not self._stored[self._known(name)]:
            raise ConfigError(f"state {name!r} cannot be replaced", hint="count in place: states.add(name, value)")

    def __contains__(self, name: object) -> bool:
        return name in self.layout

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout)

    def __len__(self) -> int:
        return len(self.layout)

    def __repr__(self) -> str:
        return f"States({self.layout}, device='{self.device}')"

    def stored(self, name: str) -> Tensor:
        """The tensor as it is kept and sent: pairs of floats, packed rows."""
        kept = self._stored[name]
        return kept[: self._num_rows[name]] if name in self._num_rows else kept

    def add(self, name: str, value: Tensor) -> None:
        """Add to a sum, float or integer."""
        kind = self.layout[self._known(name)]
        if not isinstance(kind, Sum):
            raise ConfigError(f"state {name!r} is a {type(kind).__name__}", expected="a Sum")
        kind.add(self._stored[name], value)

    def append(self, name: str, rows: Mapping[str, Tensor]) -> None:
        """Add rows to a table; columns are (n,) tensors."""
        self._put(name, self.table_kind(name).pack(rows).to(self.device))

    def _put(self, name: str, packed: Tensor) -> None:
        """Into a buffer that doubles when it is full: a list of tensors would be another graph at every step."""
        used, room = self._num_rows[name], self._stored[name]
        end = used + packed.shape[0]
        if end > room.shape[0]:
            with torch.inference_mode(False):
                room = torch.cat([room, room.new_zeros(end, room.shape[1])])
            self._stored[name] = room
        room[used:end] = packed
        self._num_rows[name] = end

    def table(self, name: str) -> dict[str, Tensor]:
        """All rows of a table, by column."""
        return self.table_kind(name).unpack(self.stored(name))

    def table_kind(self, name: str) -> Table:
        """The layout of a table."""
        kind = self.layout[self._known(name)]
        if not isinstance(kind, Table):
            raise ConfigError(f"state {name!r} is a {type(kind).__name__}", expected="a Table")
        return kind

    def to(self, device: torch.device | str) -> States:
        """Move the tensors, if they are elsewhere; called with the device of the data at each update."""
        device = torch.device(device)
        if device != self.device:
            self._fill(lambda name: self.stored(name).to(device))
            self.device = device
        return self

    def reset(self) -> None:
        """Start again from nothing."""
        self._fill(lambda name: self.layout[name].start(self.device))

    def merge(self, other: States) -> None:
        """As if what ``other`` has counted had been counted here too."""
        if self.layout != other.layout:
            raise ConfigError(f"layouts differ: {self.layout} and {other.layout}", expected="states of equal configs")
        for name, kind in self.layout.items():
            if isinstance(kind, Table):
                self._put(name, other.stored(name).to(self.device))
            else:
                kind.merge(self._stored[name], other.stored(name).to(self.device))

    def state_dict(self) -> dict[str, Any]:
        """Copies of the stored tensors; plain, for any safe format."""
        return {name: self.stored(name).detach().clone() for name in self.layout}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same layout."""
        wrong = [name for name in {*state, *self.layout} if not self._fits(name, state.get(name))]
        if wrong:
            raise ConfigError(f"the state does not fit in {sorted(wrong)}", expected=f"{self.layout}")
        self._fill(lambda name: state[name].to(self.device, copy=True))

    def _fill(self, tensor: Callable[[str], Tensor]) -> None:
        """Keep these tensors, made as updates outside of inference mode need them; all rows of tables are used."""
        with torch.inference_mode(False):
            self._stored = {name: tensor(name) for name in self.layout}
        tables = [name for name, kind in self.layout.items() if isinstance(kind, Table)]
        self._num_rows = {name: len(self._stored[name]) for name in tables}

    def _fits(self, name: str, value: Any) -> bool:
        if name not in self.layout or not isinstance(value, Tensor):
            return False
        own = self.stored(name)
        start = 1 if isinstance(self.layout[name], Table) else 0
        return value.dtype == own.dtype and value.dim() == own.dim() and value.shape[start:] == own.shape[start:]

    def _known(self, name: str) -> str:
        if name not in self.layout:
            raise ConfigError(f"no state {name!r}", hint=did_you_mean(name, self.layout))
        return name
