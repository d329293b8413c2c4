"""The newest values: the last one, a moving average, a window."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from dltools.errors import ConfigError
from dltools.meters.base import Meter, weighted_sums
from dltools.meters.report import Reading
from dltools.states import Max, State, States, Sum


class Newest(Meter):
    """Sums of n x and n in which what is new displaces what is old."""

    @abstractmethod
    def blend(self, sums: Tensor, new: Tensor) -> None:
        """Change the sums in place."""

    def layout(self) -> Mapping[str, State]:
        return {"sums": Sum(3, dtype=torch.float64)}

    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        new = weighted_sums(x, n)
        sums = self._states.to(new.device).stored("sums")
        self.blend(sums[0], new)

    def read(self, s: States) -> Mapping[str, Reading]:
        total, n, invalid = s["sums"].tolist()
        return {"": Reading(total / n if n else math.nan, n=n, invalid=round(invalid))}


class Last(Newest):
    """The newest value; over ranks their mean, weighted by ``n``."""

    def blend(self, sums: Tensor, new: Tensor) -> None:
        sums.copy_(torch.where(new[1:].any(), new, sums))  # a value that comes 0 times is none


class Ema(Newest):
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
        self.beta: float = beta
        super().__init__()

    def blend(self, sums: Tensor, new: Tensor) -> None:
        kept = torch.where(new[1] > 0, self.beta, 1.0)  # a non-finite value leaves the average where it is
        sums[:2] = kept * sums[:2] + (1 - self.beta) * new[:2]
        sums[2] += new[2]


class Window(Meter):
    """Mean of the last ``size`` updates; over ranks, step by step."""

    def __init__(self, size: int = 100) -> None:
        if size < 1:
            raise ConfigError(f"size is {size}", expected="an integer >= 1")
        self.size: int = size
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
