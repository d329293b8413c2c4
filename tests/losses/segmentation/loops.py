"""Maps, distances and morphology as loops over single pixels; excluded pixels are as if beyond the border."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.losses import reference as ref

Map = NDArray[Any]
"""Of one class of one image, (*S)."""
CHANNELS = {"multiclass": 3, "multilabel": 3, "binary": 1}


class Image(NamedTuple):
    """One class of one image."""

    p: Map
    y: Map
    weight: Map
    """0 where excluded."""

    @property
    def valid(self) -> Map:
        return self.weight != 0


class Given(NamedTuple):
    pred: Tensor
    target: Tensor
    extra: dict[str, Any]
    images: list[list[Image]]
    """By sample and class."""


def given(task: str, *sizes: int, soft: bool = False, seed: int = 0, num: int = 2) -> Given:
    """A batch of blobs with a mask, a weight map and, for hard labels, some that are ignored."""
    channels, generator = CHANNELS[task], torch.Generator().manual_seed(seed)
    pred = ref.batch(seed, num, channels, *sizes)[0]
    shade = torch.rand(num, channels, *sizes, generator=generator, dtype=torch.float64)
    if task == "multiclass":
        target = shade / shade.sum(1, keepdim=True) if soft else shade.argmax(1)
    else:
        target = shade if soft else (shade > 0.5).long()
    mask = torch.rand(num, *sizes, generator=generator) > 0.15
    weight_map = torch.randint(1, 4, (num, *sizes), generator=generator).double() / 2
    prob = pred.softmax(1) if task == "multiclass" else pred.sigmoid()
    classes = torch.arange(channels).view(1, -1, *[1] * len(sizes))
    y = (target.unsqueeze(1) == classes).double() if task == "multiclass" and not soft else target.double()
    weight = (mask * weight_map).unsqueeze(1).expand_as(pred).clone()
    if not soft:
        ignored = torch.rand(target.shape, generator=generator) < 0.1
        target = target.masked_fill(ignored, 255)
        weight = weight.masked_fill(ignored.unsqueeze(1) if task == "multiclass" else ignored, 0)
    images = [[Image(*(x[n, c].numpy() for x in (prob, y, weight))) for c in range(channels)] for n in range(num)]
    return Given(pred, target, {"mask": mask, "weight_map": weight_map}, images)


def places(x: Map) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, x.shape))


def depth(mask: Map, valid: Map) -> tuple[Map, Map]:
    """Distance to the nearest pixel of the other side, inside of a mask and outside; 0 if there is none."""
    inside, outside = np.zeros(mask.shape), np.zeros(mask.shape)
    for at in places(mask):
        others = [math.dist(at, to) for to in places(mask) if valid[to] and mask[to] != mask[at]]
        if valid[at] and others:
            (inside if mask[at] else outside)[at] = min(others)
    return inside, outside


def signed(mask: Map, valid: Map) -> Map:
    """Distance outside, and minus the distance to the edge inside."""
    inside, outside = depth(mask, valid)
    return outside - np.maximum(inside - 1, 0)


def around(at: tuple[int, ...], x: Map, *, direct: bool) -> list[tuple[int, ...]]:
    """A pixel and its neighbours in the image; those across corners too unless ``direct``."""
    steps = itertools.product((-1, 0, 1), repeat=x.ndim)
    moved = [
        tuple(a + s for a, s in zip(at, step, strict=True)) for step in steps if not direct or sum(map(abs, step)) < 2
    ]
    return [to for to in moved if all(0 <= a < size for a, size in zip(to, x.shape, strict=True))]


def morph(x: Map, valid: Map, choose: Callable[[list[float]], float], *, direct: bool = False) -> Map:
    """Erosion by ``min``, dilation by ``max``."""
    out = np.zeros(x.shape)
    for at in places(x):
        if valid[at]:
            out[at] = choose([float(x[to]) for to in around(at, x, direct=direct) if valid[to]])
    return out
