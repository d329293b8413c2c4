"""States by name: counted into in place, merged, saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from dltools.errors import ConfigError, did_you_mean
from dltools.states.kinds import First, State, Sum, Table

T = TypeVar("T")
MANY = 64
"""Items that wait at most."""
BYTES = 2**20
"""How much of them may wait."""


class _Waiting:
    """What is to be counted, and by whom."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.num_bytes = 0
        self.count: Callable[[States, list[Any]], None]


class States(Mapping[str, Tensor]):
    """The tensors of a layout, by name: counted into in place, on the device of the data.

    >>> states = States({"hits": Sum(), "error": Sum(dtype=torch.float64)})
    >>> states["hits"] += 3
    >>> states.add("error", torch.tensor([0.5]))
    >>> states["hits"], states["error"]
    (tensor([3]), tensor([0.5000], dtype=torch.float64))

    ``states[name]`` is the tensor itself for integers, minima and maxima; for a float sum, stored as a pair, it is
    the value. What waits to be counted (``later``) is counted before anybody sees a tensor.
    """

    def __init__(self, layout: Mapping[str, State], device: torch.device | str = "cpu") -> None:
        self.layout: dict[str, State] = dict(layout)
        self.device: torch.device = torch.device(device)
        self._made: dict[str, Any] | None = None
        self._waiting = _Waiting()
        self.is_empty: bool = True
        """Whether nothing was counted that could have waited."""
        self.reset()

    @classmethod
    def merged(cls, layout: Mapping[str, State], stored: Mapping[str, Tensor]) -> Self:
        """States on the host that nobody counts into: the tensors are not copied, and what ``once`` makes is kept."""
        self = cls.__new__(cls)
        self.layout, self.device, self._made = dict(layout), torch.device("cpu"), {}
        self._stored, self._num_rows, self._waiting = dict(stored), {}, _Waiting()
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
        self.settle()
        kept = self._stored[name]
        return kept[: self._num_rows[name]] if name in self._num_rows else kept

    def add(self, name: str, value: Tensor) -> None:
        """Add to a sum, float or integer."""
        kind = self.layout[self._known(name)]
        if not isinstance(kind, Sum):
            raise ConfigError(f"state {name!r} is a {type(kind).__name__}", expected="a Sum")
        kind.add(self._stored[name], value)

    def see(self, name: str, where: Tensor, *numbers: Tensor) -> None:
        """Keep in a `First` the numbers where the first True or 1 of ``where`` is; all of one size.

        >>> states = States({"bad": First()})
        >>> labels = torch.tensor([0, 7, 9])
        >>> states.see("bad", labels > 2, labels)
        >>> states["bad"]
        tensor([1., 7.], dtype=torch.float64)
        """
        kind = self.layout[self._known(name)]
        if not isinstance(kind, First):
            raise ConfigError(f"state {name!r} is a {type(kind).__name__}", expected="a First")
        kind.see(self.stored(name), where.detach(), *(x.detach() for x in numbers))

    def append(self, name: str, rows: Mapping[str, Tensor]) -> None:
        """Add rows to a table; columns are (n,) tensors."""
        self.settle()
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

    def later(self, count: Callable[[States, list[Any]], None], item: Any, num_bytes: int) -> None:
        """Count ``item`` when it is needed, or many wait: ``count(states, items)`` then takes all of them at once."""
        waiting = self._waiting
        waiting.count = count
        waiting.items.append(item)
        waiting.num_bytes += num_bytes
        if len(waiting.items) == MANY or waiting.num_bytes > BYTES:
            self.settle()

    def settle(self) -> None:
        """Count what waits; a compiled graph leaves it to whoever reads."""
        if self._waiting.items and not torch.compiler.is_compiling():
            waiting, self._waiting = self._waiting, _Waiting()
            waiting.count(self, waiting.items)

    def __getstate__(self) -> dict[str, Any]:
        self.settle()
        return vars(self)

    def reset(self) -> None:
        """Start again from nothing."""
        self._waiting, self.is_empty = _Waiting(), True
        self._fill(lambda name: self.layout[name].start(self.device))

    def merge(self, other: States) -> None:
        """As if what ``other`` has counted had been counted here too."""
        if self.layout != other.layout:
            raise ConfigError(f"layouts differ: {self.layout} and {other.layout}", expected="states of equal configs")
        self.settle()
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
