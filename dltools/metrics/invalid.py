"""What cannot be counted: how much of it there is, and the first of it for whoever looks for the cause.

To *see* is to keep the first (``States.see``), to *note* is to count too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    """Only count the True ones; says whether to look for the first."""
    number = bad.sum()
    s["invalid"] += number
    return worth_a_look(s, number.numpy)


def worth_a_look(s: States, number: Callable[[], Any]) -> bool:
    """Whether the first may be found now: on the host, if the number is not 0 and none is kept; else nobody knows."""
    first = s["first"]
    return not on_host(first) or bool(first.numpy()[0] == 0 and number())
