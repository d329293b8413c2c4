"""What a loss remembers of its calls: one small vector on the device, read when somebody collects."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from dltools.meters.base import Meter
from dltools.meters.group import Meters
from dltools.meters.mean import Mean
from dltools.meters.report import Reading
from dltools.states import States, Sum


class LossMeters(Meters):
    """Means of the values of a loss, weighted by samples, and the number of bad targets.

    All rows stand in one state, and a call only writes down its values, in one small kernel however many terms a loss
    has; they are added up once for 64 calls. ``meters[name]`` is a copy of a row.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names: tuple[str, ...] = ("loss", "bad_targets", *names)
        self._states = States({"rows": Sum(len(self.names), 3, dtype=torch.float64)})
        self._slots: tuple[Tensor, ...] = ()
        self._used = 0

    @property
    def states(self) -> States:
        """The sums, with what waits."""
        if self._used:
            waiting = torch.stack(self._slots[: self._used])
            self._used = 0
            self._add(waiting)
        return self._states

    def __getitem__(self, name: str) -> Meter:
        mean = Mean()
        mean.load_state_dict({"sums": self.states.stored("rows")[:, self.names.index(name)]})
        return mean

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"LossMeters({self.names})"

    def take(self, values: Mapping[str, Tensor], num_samples: Tensor, bad: Tensor) -> None:
        """One call: its values by name, the samples they stand for, the bad targets among them."""
        means = [bad if name == "bad_targets" else _mean(values[name]) for name in self.names]
        if torch.compiler.is_compiling():
            self._add(torch.stack([*means, num_samples]).unsqueeze(0))
            return
        if self._used == len(self._slots) or self._slots[0].device != bad.device:
            self._states = self.states.to(bad.device)
            with torch.inference_mode(False):  # else later calls outside of it would be refused
                self._slots = torch.zeros(64, len(self.names) + 1, dtype=torch.float64, device=bad.device).unbind()
        torch.stack([*means, num_samples], out=self._slots[self._used])
        self._used += 1

    def _add(self, calls: Tensor) -> None:
        """Rows of values in the order of ``names``, and of samples."""
        x, n = calls[:, :-1], calls[:, -1:]
        finite = x.isfinite()
        weight = torch.where(finite, torch.cat([n, torch.ones_like(n), n.expand(-1, x.shape[1] - 2)], 1), 0)
        sums = torch.stack([torch.where(finite, x, 0) * weight, weight, (~finite).double()], -1).sum(0)
        self._states.to(x.device).add("rows", sums)

    def reset(self) -> None:
        """Forget all calls."""
        self._used = 0
        self._states.reset()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_states": self.states, "_slots": (), "_used": 0}

    def read(self, s: States) -> Mapping[str, Reading]:
        """Values by name; warns of bad targets."""
        rows = dict(zip(self.names, s["rows"].tolist(), strict=True))
        total, calls, _ = rows.pop("bad_targets")
        if total:
            warnings.warn(
                f"{total:.0f} targets have a label out of range and were left out. "
                "Hint: set ignore_index if that is what they mean; check=True names the label.",
                UserWarning,
                stacklevel=2,
            )
        means = {k: Reading(x / n if n else math.nan, n=n, invalid=round(bad)) for k, (x, n, bad) in rows.items()}
        return {**means, "bad_targets": Reading(total, n=calls)}

    def state_dict(self) -> dict[str, Tensor]:
        """The rows."""
        return self.states.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from there."""
        self._used = 0
        self._states.load_state_dict(state)


def _mean(value: Tensor) -> Tensor:
    return value.double() if value.ndim == 0 else value.double().sum() / max(value.numel(), 1)
