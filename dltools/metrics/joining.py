"""Small batches on the host wait and are counted together: to count many costs little more than to count one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dltools.metrics.inputs import on_host
from dltools.states import States

SMALL = 2**17
"""Bytes of a batch that may wait."""


class Item(NamedTuple):
    """What is kept of a batch."""

    add: Callable[..., None]
    inputs: dict[str, Tensor]
    valid: Tensor | None
    size: int


def may_wait(s: States, inputs: Mapping[str, Any]) -> bool:
    """Not if it is large, not on the host, or the first batch, which often stays the only one."""
    if not all(map(on_host, inputs.values())):
        return False
    size = sum(x.nbytes for x in inputs.values())
    first, s.is_empty = s.is_empty, False
    return size <= SMALL and not first


def count_later(
    s: States, count: Callable[..., None], inputs: dict[str, Tensor], valid: Tensor | None, size: int
) -> None:
    """Put inputs that nobody else changes aside until the states are looked at."""
    item = Item(count, inputs, None if valid is None else valid.clone(), size)
    s.later(count_joined, item, sum(x.nbytes for x in inputs.values()))


def count_joined(s: States, items: list[Item]) -> None:
    """Count batches in their order, those of a kind that follow each other as one."""
    for _, same in groupby(items, _kind):
        alike = list(same)
        inputs = {name: torch.cat([item.inputs[name] for item in alike]) for name in alike[0].inputs}
        masks = [torch.ones(x.size, dtype=torch.bool) if x.valid is None else x.valid for x in alike]
        alike[0].add(s, **inputs, valid=torch.cat(masks))


def _kind(item: Item) -> list[tuple[Any, ...]]:
    return [(name, x.shape[1:], x.dtype) for name, x in item.inputs.items()]
