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
KINDS: dict[str, type | tuple[type, ...]] = {
    "number": (bool, int, float, np.number, np.bool_),
    "array": np.ndarray,
    "tensor": Tensor,
    "sequence": (tuple, list),
    "mapping": Mapping,
}


def collate(samples: Sequence[Any]) -> Any:
    """Join samples: mappings by key, tuples and lists by place; arrays, tensors and numbers are stacked; all else, None
    and arrays of text too, becomes a list.

    ``image`` (H, W, C) becomes (N, C, H, W) in torch's channels_last memory format, without a copy; (H, W) becomes (N,
    1, H, W). Python's integers become int64, its floats float32; arrays and numpy's numbers keep their dtype. What
    belongs to objects (``boxes``, ``labels``, ``masks``, ``keypoints``) stays a list with one tensor per sample.

    >>> batch = collate([{"image": np.zeros((8, 8, 1), np.float32), "label": 3}] * 2)
    >>> batch["image"].shape, batch["label"]
    (torch.Size([2, 1, 8, 8]), tensor([3, 3]))

    Raises ShapeError if types, keys, lengths, shapes or dtypes differ between the samples.
    """
    return _join(samples, "")


def _join(samples: Sequence[Any], name: str) -> Any:
    first, kinds = samples[0], [_kind(sample) for sample in samples]
    _same(kinds, name, "types")
    match kinds[0]:
        case "mapping":
            _same([sorted(sample) for sample in samples], name, "keys")
            return {key: _join([sample[key] for sample in samples], key) for key in first}
        case "sequence":
            _same([len(sample) for sample in samples], name, "lengths")
            make = getattr(type(first), "_make", type(first))  # a named tuple stays one
            return make([_join(part, name) for part in zip(*samples, strict=True)])
        case "array":
            return _arrays(samples, name)
        case "tensor":
            return list(samples) if name in RAGGED else torch.stack(_alike(samples, name))
        case "number":
            return _numbers(samples)
    return list(samples)


def _kind(sample: Any) -> str:
    return next((name for name, classes in KINDS.items() if isinstance(sample, classes)), type(sample).__name__)


def _arrays(arrays: Sequence[NDArray[Any]], name: str) -> Any:
    if arrays[0].dtype.kind not in "biufc":
        return list(arrays)
    if name in RAGGED:
        return [torch.from_numpy(np.array(array)) for array in arrays]
    stacked = torch.from_numpy(np.stack(_alike(arrays, name)))
    if name == "image" and stacked.ndim in (3, 4):
        return stacked.permute(0, 3, 1, 2) if stacked.ndim == 4 else stacked.unsqueeze(1)
    return stacked


def _numbers(numbers: Sequence[Any]) -> Tensor:
    stacked = np.array(numbers)
    keeps = isinstance(numbers[0], np.generic) or stacked.dtype != np.float64
    return torch.from_numpy(stacked if keeps else stacked.astype(np.float32))


def _alike(arrays: Sequence[Any], name: str) -> list[Any]:
    _same([(array.shape, array.dtype) for array in arrays], name, "shapes or dtypes")
    return list(arrays)


def _same(found: list[Any], name: str, what: str) -> None:
    other = next((i for i, value in enumerate(found) if value != found[0]), 0)
    if other:
        raise ShapeError(
            f"{what} of {name or 'the samples'} differ in a batch: {found[0]} (first), {found[other]} (number {other})",
            expected="the same in every sample",
            hint="bring images to one size in the transform, or give the loader a collate of your own",
        )
