"""Mean and total over everything that was counted."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from dltools.errors import ConfigError
from dltools.meters.base import Meter, weighted_sums
from dltools.meters.report import Reading
from dltools.states import State, States, Sum


class Summed(Meter):
    """What follows from the sums of n x and n.

    Non-finite values are counted as invalid and left out, or with ``nonfinite="nan"`` make the value NaN.
    """

    def __init__(self, nonfinite: Literal["skip", "nan"] = "skip") -> None:
        if nonfinite not in ("skip", "nan"):
            raise ConfigError(f"nonfinite is {nonfinite!r}", expected="'skip' or 'nan'")
        super().__init__()
        self.nonfinite: Literal["skip", "nan"] = nonfinite
        self._host: list[float] = []
        self._slots: list[tuple[Tensor, Tensor]] = []
        self._used = 0

    @abstractmethod
    def of_sums(self, total: float, n: float) -> float:
        """The value."""

    def settle(self) -> None:
        if self._host:
            waiting = torch.tensor(self._host, dtype=torch.float64).reshape(-1, 2)
            self._host = []
            self._add(weighted_sums(waiting[:, 0], waiting[:, 1]))
        if self._used:
            x, n = (torch.stack(column) for column in zip(*self._slots[: self._used], strict=True))
            self._used = 0
            self._add(weighted_sums(x, n))

    def layout(self) -> Mapping[str, State]:
        return {"sums": Sum(3, dtype=torch.float64)}

    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        if not isinstance(x, Tensor) and not isinstance(n, Tensor):
            self._host += (x, n)
            if len(self._host) >= 4096:
                self.settle()
        elif isinstance(x, Tensor) and x.dim() == 0 and not torch.compiler.is_compiling():
            self._wait(x, n)
        else:
            self._add(weighted_sums(x, n))

    def _wait(self, x: Tensor, n: int | Tensor) -> None:
        """Copy both to a slot on the device: two small kernels now, the sums once for 64 values."""
        if not self._slots or self._slots[0][0].device != x.device:
            self.settle()
            with torch.inference_mode(False):  # else later updates outside of it would be refused
                slots = torch.zeros(64, 2, dtype=torch.float64, device=x.device).unbind()
            self._slots = [(slot[0], slot[1]) for slot in slots]
        at_x, at_n = self._slots[self._used]
        at_x.copy_(x.detach())
        at_n.copy_(n) if isinstance(n, Tensor) else at_n.fill_(n)
        self._used += 1
        if self._used == len(self._slots):
            self.settle()

    def _add(self, sums: Tensor) -> None:
        self._states.to(sums.device).add("sums", sums)

    def __getstate__(self) -> dict[str, Any]:
        self.settle()
        return {**vars(self), "_slots": []}

    def read(self, s: States) -> Mapping[str, Reading]:
        total, n, invalid = s["sums"].tolist()
        spoilt = invalid and self.nonfinite == "nan"
        return {"": Reading(math.nan if spoilt else self.of_sums(total, n), n=n, invalid=round(invalid))}


class Mean(Summed):
    """Weighted mean.

    >>> mean = Mean()
    >>> mean.update(1.0, n=3)
    >>> mean.update(torch.tensor([5.0, float("nan")]))
    >>> mean.value
    2.0
    """

    def of_sums(self, total: float, n: float) -> float:
        return total / n if n else math.nan


AverageMeter = Mean


class Total(Summed):
    """Sum of n x."""

    def of_sums(self, total: float, n: float) -> float:
        return total
