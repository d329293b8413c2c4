"""Meters: numbers that add up on the device over many steps; ``collect`` reads all of them at once."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from dltools.collect import Source as Source
from dltools.collect import collect as collect
from dltools.errors import ConfigError
from dltools.report import Interval as Interval
from dltools.report import Reading as Reading
from dltools.report import Report as Report
from dltools.states import Max, Min, State, States, Sum


class Meter(ABC):
    """A running number. ``update`` never reads the device; ``value`` does, for this process alone."""

    def __init__(self) -> None:
        self._states = States(self.layout())

    @property
    def states(self) -> States:
        """What is merged over the ranks."""
        return self._states

    @abstractmethod
    def layout(self) -> Mapping[str, State]:
        """The states of the meter."""

    @abstractmethod
    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        """Take a value, or every element of a tensor, ``n`` times."""

    @abstractmethod
    def read(self, s: States) -> Mapping[str, Reading]:
        """The values that merged states hold."""

    def reset(self) -> None:
        """Start again from nothing."""
        self.states.reset()

    @property
    def value(self) -> float:
        """The number so far in this process; the only host read."""
        return next(iter(collect({"": self}, sync=False).values()))

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors."""
        return self.states.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.reset()
        self.states.load_state_dict(state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value:.6g})"


def weighted_sums(x: Tensor | float, n: int | Tensor) -> Tensor:
    """Sum of n x, sum of n, number of non-finite values (left out), as a float64 vector on the device of ``x``."""
    values = torch.as_tensor(x).detach().to(torch.float64)
    finite = values.isfinite()
    weights = torch.where(finite, n, 0).to(torch.float64)
    return torch.stack([(torch.where(finite, values, 0) * weights).sum(), weights.sum(), (~finite).sum()])


class Mean(Meter):
    """Weighted mean; non-finite values are left out and counted as invalid.

    >>> mean = Mean()
    >>> mean.update(1.0, n=3)
    >>> mean.update(torch.tensor([5.0, float("nan")]))
    >>> mean.value
    2.0
    """

    def __init__(self) -> None:
        super().__init__()
        self._host: list[float] = []
        self._slots: list[tuple[Tensor, Tensor]] = []
        self._used = 0

    @property
    def states(self) -> States:
        """The sums; values that wait join them when somebody looks."""
        if self._host:
            waiting = torch.tensor(self._host, dtype=torch.float64).reshape(-1, 2)
            self._host = []
            self._add(weighted_sums(waiting[:, 0], waiting[:, 1]))
        if self._used:
            x, n = (torch.stack(column) for column in zip(*self._slots[: self._used], strict=True))
            self._used = 0
            self._add(weighted_sums(x, n))
        return self._states

    def layout(self) -> Mapping[str, State]:
        return {"sums": Sum(3, dtype=torch.float64)}

    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        if not isinstance(x, Tensor) and not isinstance(n, Tensor):
            self._host += (x, n)
            if len(self._host) >= 4096:
                self._fold()
        elif isinstance(x, Tensor) and x.dim() == 0 and not torch.compiler.is_compiling():
            self._wait(x, n)
        else:
            self._add(weighted_sums(x, n))

    def _wait(self, x: Tensor, n: int | Tensor) -> None:
        """Copy both to a slot on the device: two small kernels now, the sums once for 64 values."""
        if not self._slots or self._slots[0][0].device != x.device:
            self._fold()
            with torch.inference_mode(False):  # else later updates outside of it would be refused
                slots = torch.zeros(64, 2, dtype=torch.float64, device=x.device).unbind()
            self._slots = [(slot[0], slot[1]) for slot in slots]
        at_x, at_n = self._slots[self._used]
        at_x.copy_(x.detach())
        at_n.copy_(n) if isinstance(n, Tensor) else at_n.fill_(n)
        self._used += 1
        if self._used == len(self._slots):
            self._fold()

    def _fold(self) -> None:
        _ = self.states

    def _add(self, sums: Tensor) -> None:
        self._states.to(sums.device).add("sums", sums)

    def reset(self) -> None:
        self._host, self._used = [], 0
        self._states.reset()

    def __getstate__(self) -> dict[str, Any]:
        self._fold()
        return {**vars(self), "_slots": []}

    def read(self, s: States) -> Mapping[str, Reading]:
        total, n, invalid = s["sums"].tolist()
        return {"": Reading(total / n if n else math.nan, n=n, invalid=round(invalid))}


AverageMeter = Mean


class Total(Mean):
    """Sum of n x."""

    def read(self, s: States) -> Mapping[str, Reading]:
        total, n, invalid = s["sums"].tolist()
        return {"": Reading(total, n=n, invalid=round(invalid))}


class Last(Meter):
    """The newest value; over ranks their mean, weighted by ``n``."""

    def layout(self) -> Mapping[str, State]:
        return {"sums": Sum(3, dtype=torch.float64)}

    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        new = weighted_sums(x, n)
        sums = self._states.to(new.device).stored("sums")
        self._blend(sums[0], new)

    def _blend(self, sums: Tensor, new: Tensor) -> None:
        sums.copy_(new)

    read = Mean.read


class Ema(Last):
    """Exponential moving average, free of the bias to its start: sum beta^k x / sum beta^k.

    >>> ema = Ema(beta=0.5)
    >>> for x in (1.0, 4.0):
    ...     ema.update(x)
    >>> ema.value
    3.0
    """

    def __init__(self, beta: float = 0.98) -> None:
        if not 0 <= beta < 1:
            raise ConfigError(f"beta is {beta}", expected="0 <= beta < 1")
        self.beta = beta
        super().__init__()

    def _blend(self, sums: Tensor, new: Tensor) -> None:
        kept = torch.where(new[1] > 0, self.beta, 1.0)  # a non-finite value leaves the average where it is
        sums[:2] = kept * sums[:2] + (1 - self.beta) * new[:2]
        sums[2] += new[2]


class Window(Meter):
    """Mean of the last ``size`` updates; over ranks, step by step."""

    def __init__(self, size: int = 100) -> None:
        if size < 1:
            raise ConfigError(f"size is {size}", expected="an integer >= 1")
        self.size = size
        super().__init__()

    def layout(self) -> Mapping[str, State]:
        return {"slots": Sum(self.size, 3, dtype=torch.float64), "steps": Max()}

    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        new = weighted_sums(x, n)
        states = self._states.to(new.device)
        steps = states.stored("steps").clamp_(min=0)
        states.stored("slots")[0].index_copy_(0, (steps % self.size).long(), new[None])
        steps += 1

    def read(self, s: States) -> Mapping[str, Reading]:
        total, n, invalid = s["slots"].sum(0).tolist()
        return {"": Reading(total / n if n else math.nan, n=n, invalid=round(invalid))}


class Range(Meter):
    """The least and the greatest finite value."""

    def layout(self) -> Mapping[str, State]:
        return {"min": Min(), "max": Max(), "sums": Sum(3, dtype=torch.float64)}

    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        values = torch.as_tensor(x).detach().to(torch.float64)
        states = self._states.to(values.device)
        ok = values.isfinite()
        for name, start, merge in (("min", math.inf, torch.amin), ("max", -math.inf, torch.amax)):
            kind, reached = states.layout[name], merge(torch.where(ok, values, start).reshape(-1), 0, keepdim=True)
            kind.merge(states.stored(name), reached)
        states.add("sums", weighted_sums(values, n))

    def read(self, s: States) -> Mapping[str, Reading]:
        _, n, invalid = s["sums"].tolist()
        low, high = (s[name].item() if n else math.nan for name in ("min", "max"))
        return {"min": Reading(low, n=n, invalid=round(invalid)), "max": Reading(high, n=n)}


class Rate(Meter):
    """Items per second; over ranks all items over the longest time. The clock starts at construction and ``reset``."""

    def __init__(self) -> None:
        super().__init__()
        self._since = time.perf_counter()

    def layout(self) -> Mapping[str, State]:
        return {"sums": Sum(3, dtype=torch.float64), "seconds": Max()}

    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        sums = weighted_sums(x, n)
        self._states.to(sums.device).add("sums", sums)
        self._states.stored("seconds").fill_(time.perf_counter() - self._since)

    def reset(self) -> None:
        super().reset()
        self._since = time.perf_counter()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._since = time.perf_counter() - max(0.0, float(state["seconds"]))

    def read(self, s: States) -> Mapping[str, Reading]:
        total, n, _ = s["sums"].tolist()
        seconds = s["seconds"].item()
        return {"": Reading(total / seconds if n and seconds > 0 else math.nan, n=n)}


class Meters(Mapping[str, Meter]):
    """Meters by name.

    >>> meters = Meters({"loss": Mean(), "items": Total()})
    >>> meters.update(loss=2.0, items=8)
    >>> collect({"train": meters})
    Report(train/items=8, train/loss=2)
    """

    def __init__(self, members: Mapping[str, Meter]) -> None:
        self._members = dict(members)

    def __getitem__(self, name: str) -> Meter:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"Meters({self._members})"

    def update(self, **values: Tensor | float) -> None:
        """One value for each named meter."""
        for name, value in values.items():
            self._members[name].update(value)

    def reset(self) -> None:
        """Start all of them again."""
        for meter in self._members.values():
            meter.reset()

    def state_dict(self) -> dict[str, Any]:
        """The states by name."""
        return {name: meter.state_dict() for name, meter in self._members.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        if state.keys() != self._members.keys():
            raise ConfigError(f"the state has meters {sorted(state)}", expected=f"{sorted(self._members)}")
        for name, meter in self._members.items():
            meter.load_state_dict(state[name])
