"""What cannot be counted: how much of it there is, and the first of it for whoever looks for the cause."""

from __future__ import annotations

from torch import Tensor

from dltools.metrics.inputs import on_host
from dltools.states import First, State, States, Sum


def invalid(*names: str) -> dict[str, State]:
    """The states of it; the names are those of the numbers that are kept of the first."""
    return {"invalid": Sum(), "first": First(*names)}


def note(s: States, bad: Tensor, *numbers: Tensor) -> None:
    """Count the True ones, and keep the numbers at the first of them."""
    if note_number(s, bad):
        s.see("first", bad, *numbers)


def note_number(s: States, bad: Tensor) -> bool:
    """Count the True ones; whether it is worth to look for the first: yes, where only a device knows."""
    number = bad.sum()
    s["invalid"] += number
    return not on_host(number) or bool(number.numpy())
