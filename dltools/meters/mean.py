"""Mean and total over everything that was counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dltools.meters.base import Meter, weighted_sums
from dltools.meters.report import Reading
from dltools.states import State, States, Sum


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
