"""The contract of a meter: update without a host read, merge, read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dltools.meters.report import Reading
from dltools.meters.sources import collect
from dltools.states import State, States


class Meter(ABC):
    """A running number. ``update`` never reads the device; ``value`` does, for this process alone."""

    def __init__(self) -> None:
        self._states = States(self.layout())

    @property
    def states(self) -> States:
        """What is merged over the ranks."""
        self.settle()
        return self._states

    def settle(self) -> None:
        """Add to the states what still waits beside them; nothing by default."""
        return

    def restarted(self) -> None:
        """Follow states that were reset or loaded; nothing by default."""
        return

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
        self.restarted()

    @property
    def value(self) -> float:
        """The number so far in this process; the only host read."""
        return next(iter(collect({"": self}, sync=False).values()))

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors."""
        return self.states.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.states.load_state_dict(state)
        self.restarted()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value:.6g})"


def weighted_sums(x: Tensor | float, n: int | Tensor) -> Tensor:
    """Sum of n x, sum of n, number of non-finite values (left out), as a float64 vector on the device of ``x``."""
    values = torch.as_tensor(x).detach().to(torch.float64)
    finite = values.isfinite()
    weights = torch.where(finite, n, 0).to(torch.float64)
    return torch.stack([(torch.where(finite, values, 0) * weights).sum(), weights.sum(), (~finite).sum()])
