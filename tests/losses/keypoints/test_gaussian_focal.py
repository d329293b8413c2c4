"""Gaussian focal loss against the formula of CornerNet, in a loop over single numbers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.errors import ConfigError
from dltools.losses import GaussianFocalLoss, GaussianFocalLossCfg


def maps(seed: int) -> tuple[Tensor, Tensor]:
    """Logits, and heatmaps with a centre or two in each but the last."""
    generator = torch.Generator().manual_seed(seed)
    pred = 2 * torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    target = 0.9 * torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    target[0, :, 1, 2] = target[1, 0, 3, 3] = target[1, 0, 0, 0] = 1
    return pred, target


def loop(
    pred: Tensor, target: Tensor, weights: Tensor, alpha: float = 2.0, beta: float = 4.0, classes: Any = (1.0, 1.0, 1.0)
) -> tuple[float, float, float]:
    """The sum, and the weights of all centres and of all elements."""
    total, centres, everything = [], 0.0, 0.0
    for at in itertools.product(*map(range, pred.shape)):
        p, y, weight = 1 / (1 + math.exp(-float(pred[at]))), float(target[at]), float(weights[at]) * classes[at[1]]
        centre, around = (1 - p) ** alpha * math.log(p), (1 - y) ** beta * p**alpha * math.log(1 - p)
        total.append(-weight * (centre if y == 1 else around))
        centres += weight * (y == 1)
        everything += weight
    return math.fsum(total), centres, everything


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 4.0), (1.0, 0.0), (1.5, 3.0)])
def test_the_loss_is_its_loop(alpha: float, beta: float) -> None:
    pred, target = maps(0)
    total, centres, everything = loop(pred, target, torch.ones_like(pred), alpha, beta)
    assert centres == 5
    fields: dict[str, Any] = {"alpha": alpha, "beta": beta}
    assert GaussianFocalLoss(**fields)(pred, target).item() == pytest.approx(total / 5, rel=1e-12)
    mean = GaussianFocalLoss(**fields, normalizer="valid")(pred, target)
    assert mean.item() == pytest.approx(total / everything, rel=1e-12)
    for how in ("sum", "none"):
        assert GaussianFocalLoss(**fields, reduction=how)(pred, target).sum().item() == pytest.approx(total, rel=1e-12)
    probs = GaussianFocalLoss(**fields, holds="probs")(pred.sigmoid(), target)
    assert probs.item() == pytest.approx(total / 5, rel=1e-12)


def test_masks_and_weights() -> None:
    pred, target = maps(1)
    weights = torch.randint(0, 3, (2, 1, 4, 5), generator=torch.Generator().manual_seed(2)).double()
    total, centres, _ = loop(pred, target, weights.expand_as(pred), classes=(0.5, 2.0, 1.0))
    loss = GaussianFocalLoss(class_weights=(0.5, 2.0, 1.0))
    assert loss(pred, target, weight_map=weights).item() == pytest.approx(total / centres, rel=1e-12)
    seen = torch.tensor([[1, 0, 1], [0, 1, 1]]).view(2, 3, 1, 1)
    total, centres, _ = loop(pred, target, seen.expand_as(pred))
    assert centres == 2
    assert GaussianFocalLoss()(pred, target, mask=seen).item() == pytest.approx(total / 2, rel=1e-12)


def test_without_a_centre_the_sum_is_divided_by_1() -> None:
    pred, target = maps(2)
    target = target.clamp_max(0.9)
    total, centres, _ = loop(pred, target, torch.ones_like(pred))
    assert centres == 0
    assert GaussianFocalLoss()(pred, target).item() == pytest.approx(total, rel=1e-12)


def test_hard_labels_are_heatmaps_without_a_hill() -> None:
    pred, target = maps(3)
    hard = (target == 1).long()
    found, expected = GaussianFocalLoss()(pred, hard), GaussianFocalLoss()(pred, hard.double())
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    binary = GaussianFocalLoss(task="binary", reduction="none")(pred[:, 0], hard[:, 0])
    torch.testing.assert_close(binary, GaussianFocalLoss(reduction="none")(pred, hard)[:, 0], rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("holds", ["logits", "probs"])
def test_what_is_certain_is_finite(dtype: torch.dtype, holds: Any) -> None:
    ends = [1e4, -1e4, 0.0] if holds == "logits" else [1.0, 0.0, 0.5]
    pred = torch.tensor(ends * 3, dtype=dtype).view(1, 1, 9).requires_grad_()
    target = torch.tensor([1.0, 1, 1, 0, 0, 0, 0.5, 0.5, 0.5]).view(1, 1, 9)
    loss = GaussianFocalLoss(holds=holds)(pred, target)
    assert bool(loss.isfinite())
    assert bool(torch.autograd.grad(loss, pred)[0].isfinite().all())


def test_what_makes_no_loss() -> None:
    with pytest.raises(ConfigError, match="'multilabel' or 'binary'"):
        GaussianFocalLossCfg(task="multiclass")
    with pytest.raises(ConfigError, match="alpha"):
        GaussianFocalLossCfg(alpha=0.5)
