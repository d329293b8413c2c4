"""What the families of losses take: predictions and targets that fit, for the tests of every component."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dltools.cfgutils import Config
from dltools.losses import (
    BoxLossCfg,
    CTCLossCfg,
    DFLossCfg,
    ElementLossCfg,
    EmbeddingLossCfg,
    FeatureLossCfg,
    GANLossCfg,
    GaussianNLLLossCfg,
    MAPLossCfg,
    MSSSIMLossCfg,
    OKSLossCfg,
    SSIMLossCfg,
)


class Scene(NamedTuple):
    """Two samples; pred and target are tensors, or sequences or mappings of them."""

    pred: Any
    target: Any
    mask: Tensor
    """Excludes all."""
    pixels: bool
    """Whether the last dimension may be empty."""


def labels(task: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits and labels of two images of five pixels in three classes."""
    generator = torch.Generator().manual_seed(7)
    pred = torch.randn(2, 1 if task == "binary" else 3, 5, generator=generator, dtype=dtype)
    if task == "multiclass":
        return pred, torch.randint(0, 3, (2, 5), generator=generator)
    return pred, torch.randint(0, 2, pred.shape, generator=generator)


def _uniform(*shape: int, dtype: torch.dtype, seed: int = 7) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _numbers(dtype: torch.dtype) -> Scene:
    pred, target = (_uniform(2, 3, 5, dtype=dtype, seed=seed) for seed in (7, 8))
    return Scene(pred, target, torch.zeros(2, 1, 5, dtype=torch.bool), pixels=True)


def _images(size: int, dtype: torch.dtype) -> Scene:
    """Alike, so that no similarity is below 0, where MS-SSIM has no slope."""
    pred, other = (_uniform(2, 1, size, dtype=dtype, seed=seed) for seed in (7, 8))
    return Scene(pred, (pred + other) / 2, torch.zeros(2, size, dtype=torch.bool), pixels=False)


def _features(dtype: torch.dtype) -> Scene:
    pred, target = ([_uniform(2, 3, n, dtype=dtype, seed=seed + n) for n in (4, 5)] for seed in (7, 8))
    return Scene(pred, target, torch.zeros(2, dtype=torch.bool), pixels=False)


def _scores(dtype: torch.dtype) -> Scene:
    target = torch.tensor([[1, 0, 0, 1, 1]]).expand(2, 5)
    return Scene(_uniform(2, 5, dtype=dtype), target, torch.zeros(2, dtype=torch.bool), pixels=True)


def _points(dtype: torch.dtype) -> Scene:
    target = {"points": _uniform(2, 17, 2, dtype=dtype, seed=8), "area": torch.tensor([30.0, 50.0])}
    return Scene(_uniform(2, 17, 2, dtype=dtype), target, torch.zeros(2, 17, dtype=torch.bool), pixels=False)


def _embeddings(dtype: torch.dtype) -> Scene:
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    return Scene(_uniform(6, 4, dtype=dtype), target, torch.zeros(6, dtype=torch.bool), pixels=False)


def _moments(dtype: torch.dtype) -> Scene:
    mean, var, target = (_uniform(2, 3, dtype=dtype, seed=seed) for seed in (7, 8, 9))
    return Scene({"mean": mean, "var": var + 1}, target, torch.zeros(2, 3, dtype=torch.bool), pixels=False)


def _sequences(dtype: torch.dtype) -> Scene:
    target = torch.tensor([[1, 2], [2, 0]])
    return Scene(_uniform(2, 3, 5, dtype=dtype), target, torch.zeros(2, 5, dtype=torch.bool), pixels=True)


def _boxes(dtype: torch.dtype) -> Scene:
    """Of the same aspect ratio, where the trade-off of CIoU, which is a constant, does not matter."""
    begin, side = _uniform(2, 2, dtype=dtype), 1 + _uniform(2, 1, dtype=dtype, seed=8)
    pred, target = torch.cat([begin, begin + side], 1), torch.cat([begin + 0.25, begin + 0.25 + 1.5 * side], 1)
    return Scene(pred, target, torch.zeros(2, dtype=torch.bool), pixels=False)


def _bins(dtype: torch.dtype) -> Scene:
    target = 2 * _uniform(2, 5, dtype=dtype, seed=8)
    return Scene(_uniform(2, 3, 5, dtype=dtype), target, torch.zeros(2, 5, dtype=torch.bool), pixels=True)


def _ranking(dtype: torch.dtype) -> Scene:
    target = torch.tensor([[1, 0, 1], [0, 0, 1]])
    return Scene(_uniform(2, 3, dtype=dtype) / 32, target, torch.zeros(2, 3, dtype=torch.bool), pixels=False)


FAMILIES: dict[type[Config[Any]], Callable[[torch.dtype], Scene]] = {
    BoxLossCfg: _boxes,
    CTCLossCfg: _sequences,
    DFLossCfg: _bins,
    ElementLossCfg: _numbers,
    EmbeddingLossCfg: _embeddings,
    FeatureLossCfg: _features,
    GANLossCfg: _scores,
    GaussianNLLLossCfg: _moments,
    MAPLossCfg: _ranking,
    OKSLossCfg: _points,
    SSIMLossCfg: lambda dtype: _images(12, dtype),
    MSSSIMLossCfg: lambda dtype: _images(176, dtype),
}
"""By config, of a family or of one loss; what stands in none takes logits and labels."""


def scene(cls: type[Config[Any]], task: str, dtype: torch.dtype = torch.float32) -> Scene:
    """What a loss of that config takes, the floats of pred in a dtype."""
    for family, make in FAMILIES.items():
        if issubclass(cls, family):
            return make(dtype)
    pred, target = labels(task, dtype)
    return Scene(pred, target, torch.zeros(target.shape, dtype=torch.bool), pixels=True)
