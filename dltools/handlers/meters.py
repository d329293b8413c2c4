"""What a step handler counts: norms, clips and skips, kept on the device until somebody collects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dltools.meters.report import Reading
from dltools.states import States, Sum

NAMES = ("grad_norm", "clipped", "skipped")
WAITING = 64
"""Updates whose numbers wait before they are added up together."""


class StepMeters:
    """Mean gradient norm before clipping, share of updates that were clipped, share that were skipped."""

    def __init__(self) -> None:
        self._states = States({"rows": Sum(len(NAMES), 3, dtype=torch.float64)})
        self._waiting: list[tuple[Tensor | None, Tensor | None, Tensor | None]] = []

    @property
    def states(self) -> States:
        """Sums, counts and invalid values of the three; what waits joins them when somebody looks."""
        if self._waiting:
            self._fold()
        return self._states

    def take(self, norm: Tensor | None, clip: Tensor | None, skipped: Tensor | None) -> None:
        """One update; nothing is computed yet."""
        self._waiting.append((norm, clip, skipped))
        if len(self._waiting) == WAITING:
            self._fold()

    def read(self, s: States) -> Mapping[str, Reading]:
        """The three values; NaN with n = 0 for one that is not configured."""
        rows = dict(zip(NAMES, s["rows"].tolist(), strict=True))
        return {
            name: Reading(total / n if n else math.nan, n=n, invalid=round(bad))
            for name, (total, n, bad) in rows.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The sums."""
        return self.states.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._waiting = []
        self._states.load_state_dict(state)

    def _fold(self) -> None:
        device = next((x.device for x in reversed(self._waiting[-1]) if x is not None), self._states.device)
        absent = torch.full((), math.nan, device=device)
        waiting = [
            [absent if x is None else x.to(device) for x in column] for column in zip(*self._waiting, strict=True)
        ]
        self._waiting = []
        norm, clip, skipped = (torch.stack([x.double() for x in column]) for column in waiting)
        skipped = skipped.nan_to_num(0.0)  # absent: nothing can skip
        values = torch.stack([norm, torch.where(clip.isnan(), clip, (clip < 1).double()), skipped])
        weights = torch.stack([norm.isfinite(), clip.isfinite() & (skipped == 0), skipped.isfinite()]).double()
        sums = torch.where(weights > 0, values, 0).sum(1)
        invalid = torch.zeros_like(sums)
        invalid[0] = (norm.isinf() | (norm.isnan() & (skipped > 0))).sum()
        self._states.to(device).add("rows", torch.stack([sums, weights.sum(1), invalid], 1))
