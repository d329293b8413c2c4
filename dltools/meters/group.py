"""Meters by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from dltools.errors import ConfigError
from dltools.meters.base import Meter


class Meters(Mapping[str, Meter]):
    """Meters by name.

    >>> from dltools.meters import Mean, Total, collect
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
