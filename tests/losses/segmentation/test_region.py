"""Losses of regions against their formulas over plain sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import dltools.losses
from dltools.cfgutils import build, load
from dltools.losses import DiceLoss, GDiceLoss, JaccardLoss, LossCfg, SqDiceLoss, SqJaccardLoss
from dltools.losses.segmentation import region
from tests.losses import reference as ref

Index = Callable[[Tensor, Tensor, Tensor], Tensor]
INDICES: dict[Any, Index] = {
    JaccardLoss: lambda p, y, w: _sum(w * p * y) / _sum(w * (p + y - p * y)),
    SqDiceLoss: lambda p, y, w: 2 * _sum(w * p * y) / _sum(w * (p * p + y * y)),
    SqJaccardLoss: lambda p, y, w: _sum(w * p * y) / _sum(w * (p * p + y * y - p * y)),
}


def _sum(x: Tensor) -> Tensor:
    return x.sum((0, 2))


def given(task: str, soft: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Logits, target, weights; probabilities and labels of each class."""
    num = {"multiclass": 3, "multilabel": 2, "binary": 1}[task]
    pred, target = ref.batch(0, 4, num, 6, task=task, soft=soft)
    if task == "multiclass" and not soft:
        target[:, :3] = torch.arange(3)  # no class is absent from a sample
    p = pred.softmax(1) if task == "multiclass" else pred.sigmoid()
    per_pixel = task == "multiclass" and not soft
    y = torch.stack([target == c for c in range(num)], 1) if per_pixel else target
    weight = torch.rand(4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return pred, target, weight, p, y.double()


@pytest.mark.parametrize("cls", INDICES)
@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("soft", [False, True])
def test_an_index_is_its_formula(cls: Any, task: str, soft: bool) -> None:
    pred, target, weight, p, y = given(task, soft)
    index = INDICES[cls](p, y, weight.unsqueeze(1))
    found = cls(task=task, reduction="none")(pred, target, weight_map=weight)
    torch.testing.assert_close(found, 1 - index, rtol=1e-12, atol=1e-13)
    weights = torch.tensor([0.5, 2.0, 1.0][: len(index)], dtype=torch.float64)
    mean = cls(task=task, class_weights=tuple(weights.tolist()))(pred, target, weight_map=weight)
    torch.testing.assert_close(mean, ((1 - index) * weights).sum() / weights.sum(), rtol=1e-12, atol=1e-13)
    each = [INDICES[cls](p[n : n + 1], y[n : n + 1], weight[n : n + 1].unsqueeze(1)) for n in range(4)]
    per_sample = cls(task=task, over="sample")(pred, target, weight_map=weight)
    torch.testing.assert_close(per_sample, 1 - torch.stack(each).mean(), rtol=1e-12, atol=1e-13)


def generalised(p: Tensor, y: Tensor, power: int, weights: Tensor | None = None) -> Tensor:
    size = _sum(y)
    weight = (1 if weights is None else weights) / size**power
    weight = weight.where(size > 0, torch.tensor(0.0, dtype=torch.float64))
    return 1 - 2 * (weight * _sum(p * y)).sum() / (weight * _sum(p + y)).sum()


@pytest.mark.parametrize(("weighting", "power"), [("square", 2), ("simple", 1), ("uniform", 0)])
@pytest.mark.parametrize("soft", [False, True])
def test_generalised_dice_is_its_formula(weighting: str, power: int, soft: bool) -> None:
    pred, target, _, p, y = given("multiclass", soft)
    loss = GDiceLoss(weighting=weighting)(pred, target)
    torch.testing.assert_close(loss, generalised(p, y, power), rtol=1e-12, atol=1e-13)
    weights = (0.5, 2.0, 1.0)
    loss = GDiceLoss(weighting=weighting, class_weights=weights)(pred, target)
    expected = generalised(p, y, power, torch.tensor(weights, dtype=torch.float64))
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-13)
    loss = GDiceLoss(weighting=weighting, classes=(0, 2))(pred, target)
    torch.testing.assert_close(loss, generalised(p[:, ::2], y[:, ::2], power), rtol=1e-12, atol=1e-13)
    each = torch.stack([generalised(p[n : n + 1], y[n : n + 1], power) for n in range(4)])
    loss = GDiceLoss(weighting=weighting, over="sample")(pred, target)
    torch.testing.assert_close(loss, each.mean(), rtol=1e-12, atol=1e-13)
    parts = GDiceLoss(weighting=weighting, over="sample", reduction="none")(pred, target)
    torch.testing.assert_close(parts.sum(1), each, rtol=1e-12, atol=1e-13)


def test_generalised_dice_of_known_numbers() -> None:
    pred, target = torch.zeros(1, 2, 2, 2, dtype=torch.float64), torch.tensor([[[0, 1], [1, 1]]])
    assert GDiceLoss()(pred, target).item() == pytest.approx(0.625, abs=1e-15)
    half = torch.full((1, 2, 2, 2), 0.5, dtype=torch.float64)
    assert GDiceLoss(holds="probs")(half, target).item() == pytest.approx(0.625, abs=1e-15)


def test_generalised_dice_of_an_absent_class() -> None:
    pred, target, _, p, y = given("multiclass", False)
    target, y = target.clamp_max(1), torch.stack([target == 0, target > 0, target < 0], 1).double()
    pred.requires_grad_()
    here = generalised(p, y, 2)
    for empty, expected in (("skip", here), ("zero", 2 * here / 3), ("score", (2 * here + p[:, 2].mean()) / 3)):
        loss = GDiceLoss(empty=empty)(pred, target)
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-13)
        (grad,) = torch.autograd.grad(loss, pred)
        assert bool(grad.isfinite().all())


@pytest.mark.parametrize(
    ("cls", "value"), [(JaccardLoss, 1 / 2), (SqDiceLoss, 1 / 5), (SqJaccardLoss, 1 / 3), (GDiceLoss, 1 / 3)]
)
def test_known_numbers(cls: Any, value: float) -> None:
    pred, target = torch.zeros(1, 1, 4, 4, dtype=torch.float64), torch.ones(1, 1, 4, 4)
    assert cls(task="binary")(pred, target).item() == pytest.approx(value, abs=1e-15)


def test_other_names_are_the_same_classes() -> None:
    assert region.SoftIoU is region.SoftIoULoss is JaccardLoss
    assert region.GDice is region.GeneralizedDiceLoss is GDiceLoss
    assert (region.SqDice, region.SqJaccard) == (SqDiceLoss, SqJaccardLoss)
    assert region.DiceLoss is region.F1Loss is DiceLoss
    for tag, cls in (("SoftIoULoss", JaccardLoss), ("GeneralizedDiceLoss", GDiceLoss), ("SqJaccard", SqJaccardLoss)):
        assert type(build(load(LossCfg, f"type: {tag}"))) is cls
        assert getattr(dltools.losses, f"{tag}Cfg") is cls.config
