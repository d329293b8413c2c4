"""Rows of numbers: read at the call if they are on the host, else copied on their device and moved together later."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dltools.errors import ConfigError, ShapeError
from dltools.writers.records import Scalars, Value, check_key

Numbers = dict[str, float]
_PLAIN = (frozenset({float}), frozenset({int}), frozenset({int, float}))


@dataclass(frozen=True, slots=True)
class Staged:
    """Values of one call that are on a device: a stack for each dtype, made in the caller's stream."""

    keys: tuple[str, ...]
    stack: Tensor
    stream: torch.Stream | None


class RowReader:
    """Checks a row and reads it; the names of a row are checked once, as they hardly ever change."""

    def __init__(self) -> None:
        self._known: set[tuple[str, ...]] = set()

    def read(self, values: Mapping[str, Value]) -> tuple[Numbers, list[Staged]]:
        """The numbers on the host by key (zeros for those on a device), and the stacks of the others."""
        row: dict[str, Any] = dict(values)
        keys = tuple(row)
        if keys not in self._known:
            for key in keys:
                check_key(key)
            self._known.add(keys)
        if frozenset(map(type, row.values())) in _PLAIN:
            return row, []
        away: dict[tuple[torch.device, torch.dtype], dict[str, Tensor]] = {}
        for key, value in row.items():
            if isinstance(value, Tensor) and value.device.type != "cpu":
                check_tensor(key, value)
                away.setdefault((value.device, value.dtype), {})[key] = value
                row[key] = 0.0
            else:
                row[key] = number(key, value)
        with torch.no_grad():
            return row, [
                Staged(tuple(group), torch.stack(list(group.values())), _stream(device))
                for (device, _), group in away.items()
            ]


def check_tensor(key: str, value: Tensor) -> None:
    """Refuse what holds more than one number, or a complex one."""
    if value.ndim:
        raise ShapeError(
            f"{key!r} is a tensor of shape {tuple(value.shape)}", expected="a 0-d tensor", hint="reduce it"
        )
    if value.is_complex():
        raise ConfigError(f"{key!r} is complex", expected="a real number", hint="log its real and imaginary parts")


def number(key: str, value: object) -> float:
    """A value on the host as a Python number: integers stay exact, bools are 0 and 1."""
    if isinstance(value, Tensor):
        check_tensor(key, value)
        value = value.item()
    elif isinstance(value, np.ndarray):
        if value.ndim:
            raise ShapeError(f"{key!r} is an array of shape {value.shape}", expected="a 0-d array", hint="reduce it")
        value = value[()]
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    raise ConfigError(f"{key!r} is {value!r:.80} ({type(value).__name__})", expected="a real number or a 0-d tensor")


class Stage:
    """Rows that wait on a device. ``work`` moves all of them in one copy and hands each on."""

    def __init__(self, land: Callable[[Scalars], None]) -> None:
        self._land = land
        self._rows: deque[tuple[Scalars, Numbers, list[Staged]]] = deque()
        self._moving = threading.Lock()

    def add(self, record: Scalars, numbers: Numbers, staged: list[Staged]) -> None:
        """Keep a record, whose values are these numbers, until the next ``work`` completes them."""
        self._rows.append((record, numbers, staged))

    def work(self) -> None:
        """Move what is here now."""
        with self._moving:
            rows = [self._rows.popleft() for _ in range(len(self._rows))]
            stacks = [stack for _, _, staged in rows for stack in staged]
            moved = iter(move(stacks))
            for row, numbers, staged in rows:
                for stack in staged:
                    numbers.update(zip(stack.keys, next(moved), strict=True))
                self._land(row)


def move(stacks: Sequence[Staged]) -> list[list[float]]:
    """The numbers of each stack. One copy to the host for each device and stream, as bytes: every dtype is exact."""
    found: dict[int, list[float]] = {}
    with torch.no_grad():
        for place, group in _by_stream(stacks).items():
            with _inside(place):
                flat = torch.cat([stacks[i].stack.view(torch.uint8) for i in group]).to("cpu")
            at = 0
            for i in group:
                stack = stacks[i].stack
                size = stack.numel() * stack.element_size()
                here = flat[at : at + size].clone().view(stack.dtype)  # a copy starts at an address fit for any dtype
                found[i] = [number("value", value) for value in here.tolist()]
                at += size
    return [found[i] for i in range(len(stacks))]


def _by_stream(stacks: Iterable[Staged]) -> dict[tuple[torch.device, torch.Stream | None], list[int]]:
    groups: dict[tuple[torch.device, torch.Stream | None], list[int]] = {}
    for i, stack in enumerate(stacks):
        groups.setdefault((stack.stack.device, stack.stream), []).append(i)
    return groups


def _stream(device: torch.device) -> torch.Stream | None:
    """The stream that the caller's kernels run in: the copy must wait for them, and only for them."""
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None or accelerator.type != device.type or device.type == "mps":
        return None
    return torch.accelerator.current_stream(device)


def _inside(key: tuple[torch.device, torch.Stream | None]) -> AbstractContextManager[object]:
    return nullcontext() if key[1] is None else key[1]
