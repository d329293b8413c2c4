"""From a list of samples to a batch of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltools.errors import ShapeError

RAGGED = ("boxes", "labels", "masks", "keypoints")
"""Keys with one row per object: a batch holds a list of them, a tensor per sample."""


def collate(samples: Sequence[Any]) -> Any:
    """Join samples: mappings by key, tuples and lists by place, arrays, tensors and numbers stacked; all else becomes a
    list.

    ``image`` (H, W, C) becomes (N, C, H, W) in torch's channels_last memory format, without a copy; (H, W) becomes (N,
    1, H, W). Integers become int64, floats float32; arrays keep their dtype. What belongs to objects (``boxes``,
    ``labels``, ``masks``, ``keypoints``) stays a list with one tensor per sample.

    >>> batch = collate([{"image": np.zeros((8, 8, 1), np.float32), "label": 3}] * 2)
    >>> batch["image"].shape, batch["label"]
    (torch.Size([2, 1, 8, 8]), tensor([3, 3]))

    Raises ShapeError if keys or shapes differ between the samples.
    """
    return _join(samples, "")


def _join(samples: Sequence[Any], name: str) -> Any:
    first = samples[0]
    if isinstance(first, Mapping):
        _same([sorted(sample) for sample in samples], name, "keys")
        return {key: _join([sample[key] for sample in samples], key) for key in first}
    if isinstance(first, (tuple, list)):
        _same([len(sample) for sample in samples], name, "lengths")
        parts = [_join(part, name) for part in zip(*samples, strict=True)]
        return tuple(parts) if isinstance(first, tuple) else parts
    if isinstance(first, np.ndarray):
        return _arrays(samples, name)
    if isinstance(first, Tensor):
        if name in RAGGED:
            return list(samples)
        _same([tuple(sample.shape) for sample in samples], name, "shapes")
        return torch.stack(list(samples))
    if isinstance(first, (bool, int, float, np.generic)):
        return _numbers(samples)
    return list(samples)


def _arrays(arrays: Sequence[NDArray[Any]], name: str) -> Any:
    if name in RAGGED:
        return [torch.from_numpy(np.array(array)) for array in arrays]
    _same([array.shape for array in arrays], name, "shapes")
    stacked = torch.from_numpy(np.stack(arrays))
    if name == "image":
        return stacked.permute(0, 3, 1, 2) if stacked.ndim == 4 else stacked.unsqueeze(1)
    return stacked


def _numbers(numbers: Sequence[Any]) -> Tensor:
    stacked = np.array(numbers)
    return torch.from_numpy(
        stacked if isinstance(numbers[0], np.generic) or stacked.dtype != np.float64 else stacked.astype(np.float32)
    )


def _same(found: list[Any], name: str, what: str) -> None:
    other = next((i for i, value in enumerate(found) if value != found[0]), 0)
    if other:
        raise ShapeError(
            f"{what} of {name or 'the samples'} differ in a batch: {found[0]} (first), {found[other]} (number {other})",
            expected="the same in every sample",
            hint="bring images to one size in the transform, or give the loader a collate of your own",
        )
