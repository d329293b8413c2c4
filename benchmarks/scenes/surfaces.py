"""Masks with lumpy surfaces, and what others say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Call = Callable[[], Any]


def blob(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """A lumpy ball, a third of the image wide."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    waves = sum(np.sin(rng.uniform(3, 9) * x + rng.uniform(0, 6)) for x in axes)
    return torch.from_numpy(sum(x**2 for x in axes) ** 0.5 + 0.05 * waves < 0.35)


def surfels(pred: torch.Tensor, target: torch.Tensor) -> Callable[[], Call]:
    def prepare() -> Call:
        import surface_distance as peer

        a, b = pred.numpy(), target.numpy()

        def run() -> Any:
            distances = peer.compute_surface_distances(b, a, (1.0,) * a.ndim)
            nsd = peer.compute_surface_dice_at_tolerance(distances, 1.0)
            return peer.compute_robust_hausdorff(distances, 95), nsd

        return run

    return prepare


def monai_surfaces(pred: torch.Tensor, target: torch.Tensor) -> Callable[[], Call]:
    def prepare() -> Call:
        from monai.metrics import compute_hausdorff_distance, compute_surface_dice

        pair = [torch.stack([~x, x])[None].float() for x in (pred, target)]
        return lambda: (
            compute_hausdorff_distance(*pair, percentile=95),
            compute_surface_dice(*pair, class_thresholds=[1.0]),
        )

    return prepare
