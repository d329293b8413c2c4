"""What cannot be counted: how much of it there is, and the first of it for whoever looks for the cause."""

from __future__ import annotations

from torch import Tensor

from dltools.states import First, State, States, Sum


def invalid(*names: str) -> dict[str, State]:
    """The states of it; the names are those of the numbers that are kept of the first."""
    return {"invalid": Sum(), "first": First(*names)}


def note(s: States, bad: Tensor, *numbers: Tensor) -> None:
    """Count the True ones, and keep the numbers at the first of them."""
    s["invalid"] += bad.sum()
    s.see("first", bad, *numbers)
