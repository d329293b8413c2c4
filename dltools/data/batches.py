"""Whole batches moved: to a device, into page-locked memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def to_device(batch: Any, device: torch.device | str) -> Any:
    """The batch with every tensor on the device; a copy from page-locked memory does not wait for it.

    >>> to_device({"image": torch.zeros(2), "name": ["a", "b"]}, "meta")["image"].device
    device(type='meta')
    """
    return on_tensors(batch, lambda x: x.to(device, non_blocking=True))


def on_tensors(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The batch with every tensor changed, at any depth of mappings, lists and (named) tuples; all else as it is."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: on_tensors(value, change) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        make = getattr(type(batch), "_make", type(batch))  # a named tuple stays one
        return make(on_tensors(value, change) for value in batch)
    return batch
