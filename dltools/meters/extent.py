"""Extremes and rates: what maxima over the ranks are needed for."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from dltools.meters.base import Meter, weighted_sums
from dltools.meters.report import Reading
from dltools.states import Max, Min, State, States, Sum


class Range(Meter):
    """The least and the greatest finite value."""

    def layout(self) -> Mapping[str, State]:
        return {"min": Min(), "max": Max(), "sums": Sum(3, dtype=torch.float64)}

    def update(self, x: Tensor | float, n: int | Tensor = 1) -> None:
        values = torch.as_tensor(x).detach().to(torch.float64)
        states = self._states.to(values.device)
        ok = values.isfinite() & torch.as_tensor(n, device=values.device).ne(0)
        for name, start, extreme in (("min", math.inf, torch.amin), ("max", -math.inf, torch.amax)):
            stored = states.stored(name)
            stored.copy_(extreme(torch.cat([stored, torch.where(ok, values, start).reshape(-1)]), 0, keepdim=True))
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

    def restarted(self) -> None:
        self._since = time.perf_counter() - max(0.0, self._states["seconds"].item())

    def read(self, s: States) -> Mapping[str, Reading]:
        total, n, _ = s["sums"].tolist()
        seconds = s["seconds"].item()
        return {"": Reading(total / seconds if n and seconds > 0 else math.nan, n=n)}
