"""Losses of classes against torch, the formulas of their papers and loops, in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ConfigError, ShapeError
from dltools.losses import (
    AsymmetricLoss,
    AsymmetricLossCfg,
    CELoss,
    LDAMLoss,
    LDAMLossCfg,
    LogitAdjustedLoss,
    LogitAdjustedLossCfg,
    Loss,
    MultiMarginLoss,
    MultiMarginLossCfg,
    SoftMarginLoss,
    SoftMarginLossCfg,
)
from tests.losses import reference as ref

CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-13}
COUNTS = (100.0, 30.0, 7.0, 1.0)
REDUCTIONS = ["mean", "sum", "none"]


def same(ours: Tensor, theirs: Tensor, pred: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, **CLOSE)
    one, two = (torch.autograd.grad(x.sum(), pred, retain_graph=True)[0] for x in (ours, theirs))
    torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_soft_margin_is_that_of_torch(reduction: str) -> None:
    pred, target = ref.batch(0, 4, 3, 5, task="multilabel")
    pred.requires_grad_()
    theirs = F.soft_margin_loss(pred, 2.0 * target - 1, reduction=reduction)
    same(SoftMarginLoss(reduction=reduction)(pred, target), theirs, pred)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_multi_class_margin_is_that_of_torch(reduction: str, power: Any, margin: float) -> None:
    pred, target = ref.batch(1, 6, 4)
    pred.requires_grad_()
    theirs = F.multi_margin_loss(pred, target, power, margin, reduction=reduction)
    same(MultiMarginLoss(margin=margin, power=power, reduction=reduction)(pred, target), theirs, pred)
    weight = torch.tensor([0.5, 2.0, 0.0, 1.0], dtype=torch.float64)
    each = F.multi_margin_loss(pred, target, power, margin, weight, reduction="none")
    ours = MultiMarginLoss(margin=margin, power=power, class_weights=tuple(weight.tolist()))(pred, target)
    same(ours, each.sum() / weight[target].sum(), pred)


@pytest.mark.parametrize("task", ["multilabel", "binary"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("gamma_pos", "gamma_neg", "clip"), [(1.0, 4.0, 0.05), (0.0, 2.0, 0.3), (0.5, 1.5, 0.0)])
def test_asymmetric_loss_is_its_loop(task: str, soft: bool, gamma_pos: float, gamma_neg: float, clip: float) -> None:
    pred, target = ref.batch(2, 3, 1 if task == "binary" else 3, 4, task=task, soft=soft)
    mask = torch.rand(3, 4, generator=torch.Generator().manual_seed(3)) > 0.3

    def shape(p: float, side: int) -> float:
        if side:
            return (1 - p) ** gamma_pos * -math.log(p)
        low = max(1 - p - clip, 0.0)
        return low**gamma_neg * -math.log(1 - low)

    expected = ref.pixel_loss(ref.elements(pred, target, task=task, mask=mask), shape)
    loss = AsymmetricLoss(task=task, gamma_pos=gamma_pos, gamma_neg=gamma_neg, clip=clip)
    assert loss(pred, target, mask=mask).item() == pytest.approx(expected, rel=1e-12)


def test_easy_negatives_lose_nothing() -> None:
    pred = torch.tensor([-4.0, -3.0, 0.0], requires_grad=True)  # probabilities .018, .047, .5
    loss = AsymmetricLoss(task="binary", reduction="none")(pred, torch.zeros(3))
    (slope,) = torch.autograd.grad(loss.sum(), pred)
    assert loss[:2].tolist() == slope[:2].tolist() == [0, 0]
    assert slope[2] > 0


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("tau", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("soft", [False, True])
def test_logit_adjustment_is_cross_entropy_of_adjusted_logits(reduction: Any, tau: float, soft: bool) -> None:
    pred, target = ref.batch(3, 3, 4, 5, soft=soft)
    pred.requires_grad_()
    prior = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
    weights = (0.5, 2.0, 3.0, 1.0)
    for options in ({}, {"class_weights": weights}):
        adjusted = pred + tau * prior.log().view(1, -1, 1)
        theirs = CELoss(reduction=reduction, **options)(adjusted, target)
        same(
            LogitAdjustedLoss(class_counts=COUNTS, tau=tau, reduction=reduction, **options)(pred, target), theirs, pred
        )
    shares = LogitAdjustedLoss(class_counts=tuple(prior.tolist()), tau=tau)(pred, target)
    torch.testing.assert_close(shares, LogitAdjustedLoss(class_counts=COUNTS, tau=tau)(pred, target), **CLOSE)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_wider_margins_for_rare_classes(reduction: Any) -> None:
    pred, target = ref.batch(4, 8, 4)
    pred.requires_grad_()
    margin = 1 / torch.tensor(COUNTS, dtype=torch.float64).sqrt().sqrt()
    margin = margin * (0.4 / margin.max())
    moved = pred - F.one_hot(target, 4) * margin[target].unsqueeze(1)
    weight = torch.tensor([0.5, 2.0, 3.0, 1.0], dtype=torch.float64)
    theirs = F.cross_entropy(10 * moved, target, weight, reduction=reduction)
    fields: dict[str, Any] = {"class_weights": tuple(weight.tolist()), "max_margin": 0.4, "scale": 10.0}
    same(LDAMLoss(class_counts=COUNTS, reduction=reduction, **fields)(pred, target), theirs, pred)


EVERY: list[Loss[Any]] = [
    SoftMarginLoss(),
    AsymmetricLoss(),
    AsymmetricLoss(gamma_pos=0.5, gamma_neg=1.5, clip=0.0),
    MultiMarginLoss(power=2),
    LogitAdjustedLoss(class_counts=COUNTS[:3]),
    LDAMLoss(class_counts=COUNTS[:3], scale=3.0),
]


@pytest.mark.parametrize("loss", EVERY)
def test_derivatives_and_junk(loss: Any) -> None:
    pred, target = ref.batch(5, 2, 3, 4, task=loss.cfg.task)
    mask = torch.tensor([[True, True, False, True], [True, False, True, True]])
    assert gradcheck(lambda x: loss(x, target, mask=mask), pred.requires_grad_())
    assert gradgradcheck(lambda x: loss(x, target, mask=mask), pred)
    out = ~mask.unsqueeze(1)
    junk = pred.detach().masked_fill(out, torch.nan).requires_grad_()
    found = loss(junk, target, mask=mask)
    torch.testing.assert_close(found, loss(pred, target, mask=mask), rtol=0, atol=0)
    (slope,) = torch.autograd.grad(found, junk)
    assert bool(slope.isfinite().all())
    assert not slope[out.expand_as(slope)].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("height", [0.0, 1e4, -1e4])
def test_values_and_slopes_are_finite(dtype: torch.dtype, height: float) -> None:
    for loss in EVERY:
        pred = (torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 1.0]) * height).view(1, 3, 2).to(dtype).requires_grad_()
        for label in (0, 1):
            found = loss(pred, torch.full((1, 2) if loss.cfg.task == "multiclass" else (1, 3, 2), label))
            (slope,) = torch.autograd.grad(found, pred)
            assert found.dtype == torch.float32
            assert bool(found.isfinite())
            assert bool(slope.isfinite().all())


@pytest.mark.parametrize(
    ("cls", "fields", "text"),
    [
        (SoftMarginLossCfg, {"task": "multiclass"}, "'multilabel' or 'binary'.*MultiMarginLoss"),
        (AsymmetricLossCfg, {"task": "multiclass"}, "'multilabel' or 'binary'.*FocalLoss"),
        (MultiMarginLossCfg, {"task": "binary"}, "task='binary'.*task='multiclass'"),
        (LogitAdjustedLossCfg, {"class_counts": (1.0,), "holds": "probs"}, "holds='probs'.*holds='logits'"),
        (LDAMLossCfg, {"class_counts": ()}, "a number for each class"),
        (LDAMLossCfg, {"class_counts": (1.0, 0.0)}, "class_counts"),
    ],
)
def test_configs_that_are_not_legal(cls: Any, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        cls(**fields)


def test_targets_and_counts_that_do_not_fit() -> None:
    pred = torch.zeros(2, 3)
    for loss in (MultiMarginLoss(), LDAMLoss(class_counts=COUNTS[:3])):
        with pytest.raises(ShapeError, match=r"target of class indices \(N, \*S\).*target.argmax\(1\)"):
            loss(pred, torch.zeros(2, 3))
    for other in (LogitAdjustedLoss(class_counts=COUNTS), LDAMLoss(class_counts=COUNTS)):
        with pytest.raises(ShapeError, match=r"4 class_counts for pred \(2, 3\).*3 of them"):
            other(pred, torch.zeros(2, dtype=torch.int64))
