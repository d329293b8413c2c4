"""Indices of overlap and agreement against closed forms and scikit-learn."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import fbeta_score, matthews_corrcoef
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.losses import (
    DiceLoss,
    FBetaLoss,
    FocalTverskyLoss,
    GDiceLoss,
    JaccardLoss,
    MCCLoss,
    SqDiceLoss,
    SqJaccardLoss,
    TverskyLoss,
)
from tests.losses import reference as ref

EVERY: list[tuple[Any, dict[str, Any]]] = [
    (FBetaLoss, {"beta": 2.0}),
    (FocalTverskyLoss, {"alpha": 0.3, "beta": 0.7}),
    (FocalTverskyLoss, {"alpha": 0.0, "beta": 0.0, "gamma": 2.0}),
    (MCCLoss, {}),
    (JaccardLoss, {}),
    (GDiceLoss, {}),
    (GDiceLoss, {"weighting": "simple", "empty": "score"}),
    (GDiceLoss, {"weighting": "uniform", "over": "sample", "empty": "zero"}),
    (SqDiceLoss, {}),
    (SqJaccardLoss, {}),
]


def decisions() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.randint(0, 2, (2, 2, 3, 40), generator=generator)
    return pred, target


def test_decisions_have_the_scores_of_sklearn() -> None:
    pred, target = decisions()
    flat = target.flatten().numpy(), pred.flatten().numpy()
    for beta in (0.5, 1.0, 2.0):
        found = FBetaLoss(task="multilabel", holds="probs", beta=beta, over="sample", reduction="none")(
            pred.double().view(1, 1, -1), target.view(1, 1, -1)
        )
        assert found.item() == pytest.approx(1 - fbeta_score(*flat, beta=beta), abs=1e-14)
    found = MCCLoss(task="binary", holds="probs")(pred.double().view(1, -1), target.view(1, -1))
    assert found.item() == pytest.approx(1 - matthews_corrcoef(*flat), abs=1e-14)


def mcc(p: Any, y: Any, w: Any) -> float:
    """Pearson's correlation, which for decisions is that of Matthews; weighted."""
    mean_p, mean_y = np.average(p, weights=w), np.average(y, weights=w)
    both = np.average((p - mean_p) * (y - mean_y), weights=w)
    # of probabilities the spread is that of decisions with their mean
    return float(both / math.sqrt(mean_p * (1 - mean_p) * mean_y * (1 - mean_y)))


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("soft", [False, True])
def test_matthews_correlation_of_probabilities(task: str, soft: bool) -> None:
    num = {"multiclass": 3, "multilabel": 2, "binary": 1}[task]
    pred, target = ref.batch(1, 2, num, 9, task=task, soft=soft)
    weight = torch.rand(2, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    p = (pred.softmax(1) if task == "multiclass" else pred.sigmoid()).movedim(1, 0).flatten(1).numpy()
    per_pixel = task == "multiclass" and not soft
    y = torch.stack([target == c for c in range(num)]) if per_pixel else target.movedim(1, 0)
    expected = [1 - mcc(a, b, weight.flatten().numpy()) for a, b in zip(p, y.flatten(1).double().numpy(), strict=True)]
    found = MCCLoss(task=task, reduction="none")(pred, target, weight_map=weight)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-11, atol=1e-12)


def test_matthews_correlation_without_a_choice_is_flat() -> None:
    for pred, target in ((0.0, 1), (1.0, 1), (0.5, 1)):  # no pixel of the other side
        x = torch.full((1, 1, 6), pred, dtype=torch.float64, requires_grad=True)
        loss = MCCLoss(task="binary", holds="probs")(x, torch.full((1, 6), target))
        (grad,) = torch.autograd.grad(loss, x)
        assert loss.item() == 1
        assert not grad.any()
    constant = torch.full((1, 1, 4), 0.3, dtype=torch.float64, requires_grad=True)
    loss = MCCLoss(task="binary", holds="probs")(constant, torch.tensor([[0, 0, 1, 1]]))
    assert loss.item() == pytest.approx(1, abs=1e-15)
    assert torch.autograd.grad(loss, constant)[0].signbit().tolist() == [[[False, False, True, True]]]


def test_focal_tversky_is_a_power_that_ends_in_its_tangent() -> None:
    for x in (0.9, 0.2, 1e-5, 2e-6, 1e-6, 5e-7, 1e-9, 0.0):  # of one pixel, 1 - TI is 1 - p at alpha 0, beta 1
        p = torch.tensor([[1 - x]], dtype=torch.float64, requires_grad=True)
        for gamma in (0.75, 1.0, 4 / 3):
            loss = FocalTverskyLoss(task="binary", holds="probs", alpha=0.0, beta=1.0, gamma=gamma)
            value = loss(p, torch.ones(1, 1))
            (grad,) = torch.autograd.grad(value, p)
            at = max(x, 1e-6)
            slope = gamma * at ** (gamma - 1)
            assert value.item() == pytest.approx(at**gamma + slope * (x - at), rel=1e-9, abs=1e-15)
            assert grad.item() == pytest.approx(-slope, rel=1e-9)
    pred, target = ref.batch(3, 2, 3, 8)
    per_class = TverskyLoss(alpha=0.3, beta=0.7, reduction="none")(pred, target)
    found = FocalTverskyLoss(alpha=0.3, beta=0.7)(pred, target)
    torch.testing.assert_close(found, (per_class**0.75).mean(), rtol=1e-13, atol=0)


def test_f_beta_of_one_is_dice() -> None:
    pred, target = ref.batch(4, 2, 3, 8)
    torch.testing.assert_close(FBetaLoss()(pred, target), DiceLoss()(pred, target), rtol=1e-14, atol=0)


@pytest.mark.parametrize(("cls", "fields"), EVERY)
def test_derivatives(cls: Any, fields: dict[str, Any]) -> None:
    for task, soft, num in (("multiclass", False, 3), ("multiclass", True, 2), ("binary", False, 1)):
        pred, target = ref.batch(5, 2, num, 4, task=task, soft=soft)
        if task == "multiclass" and not soft:
            target[target == 1] = 0  # absent
        weight_map = torch.tensor([[0.5, 1.0, 0.0, 1.0], [2.0, 0.0, 1.0, 1.0]])
        loss = cls(task=task, class_weights=(0.5, 2.0, 1.5)[:num], **fields)
        assert gradcheck(lambda x, f=loss, y=target, w=weight_map: f(x, y, weight_map=w), pred.requires_grad_())
        assert gradgradcheck(lambda x, f=loss, y=target, w=weight_map: f(x, y, weight_map=w), pred)


@pytest.mark.parametrize(("cls", "fields"), EVERY)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_extreme_counts_are_finite(cls: Any, fields: dict[str, Any], dtype: torch.dtype) -> None:
    for high, label, num in itertools.product((0.0, 1e4), (0, 1, 2, 255), (0, 1, 5)):
        pred = torch.tensor([high, 0.0, -high]).to(dtype).repeat(2, num, 1).movedim(2, 1).clone().requires_grad_()
        target = torch.full((2, num), label)
        target[:, :1] = 0
        for weight in (1.0, 1e-30):
            weight_map = torch.full((2, num), weight)
            loss = cls(**fields, ignore_index=255)(pred, target, weight_map=weight_map)
            (grad,) = torch.autograd.grad(loss, pred)
            assert bool(loss.isfinite())
            assert bool(grad.isfinite().all())
