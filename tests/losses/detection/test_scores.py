"""Losses of scores and of distributions of distances, against loops over single numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ConfigError, DltoolsError, ShapeError
from dltools.losses import DFLoss, QualityFocalLoss, VarifocalLoss
from dltools.meters import collect


def entropy(y: float, p: float) -> float:
    return -sum(share * math.log(q) for share, q in ((y, p), (1 - y, 1 - p)) if share)


def quality_focal(y: float, p: float, beta: float = 2.0) -> float:
    return abs(y - p) ** beta * entropy(y, p)


def varifocal(y: float, p: float, alpha: float = 0.75, gamma: float = 2.0) -> float:
    return y * entropy(y, p) if y > 0 else alpha * p**gamma * -math.log(1 - p)


LOSSES: list[tuple[Any, Any, dict[str, float]]] = [
    (QualityFocalLoss, quality_focal, {}),
    (QualityFocalLoss, quality_focal, {"beta": 1.0}),
    (QualityFocalLoss, quality_focal, {"beta": 2.5}),
    (VarifocalLoss, varifocal, {}),
    (VarifocalLoss, varifocal, {"alpha": 0.4, "gamma": 1.0}),
]
every = pytest.mark.parametrize(("cls", "formula", "fields"), LOSSES)


def draw(seed: int, *shape: int, soft: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, qualities of which most are 0, weights of which some are 0."""
    generator = torch.Generator().manual_seed(seed)
    pred = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    there = torch.rand(shape, generator=generator) > 0.6
    quality = torch.rand(shape, generator=generator, dtype=torch.float64) * there
    weights = torch.randint(0, 3, shape, generator=generator).double()
    return pred, quality if soft else there.long(), weights


@every
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("task", ["multilabel", "binary"])
def test_a_loss_is_its_loop(cls: Any, formula: Any, fields: Any, soft: bool, task: str) -> None:
    shape = (4, 3, 5) if task == "multilabel" else (4, 1, 5)
    pred, target, weights = draw(0, *shape, soft=soft)
    terms = [
        w * formula(y, p, **fields)
        for w, y, p in zip(*(x.flatten().tolist() for x in (weights, target, pred.sigmoid())), strict=True)
    ]
    total, positives = math.fsum(terms), (weights * (target > 0)).sum().item()
    for reduction, normalizer, expected in (
        ("sum", "valid", total),
        ("mean", "valid", total / weights.sum().item()),
        ("mean", "positives", total / positives),
    ):
        loss = cls(task=task, reduction=reduction, normalizer=normalizer, **fields)
        assert loss(pred, target, weight_map=weights).item() == pytest.approx(expected, rel=1e-11)
        probs = cls(task=task, holds="probs", reduction=reduction, normalizer=normalizer, **fields)
        assert probs(pred.sigmoid(), target, weight_map=weights).item() == pytest.approx(expected, rel=1e-9)
    each = cls(task=task, reduction="none", **fields)(pred, target, weight_map=weights)
    assert each.flatten().tolist() == pytest.approx(terms, rel=1e-11, abs=1e-13)


@every
@pytest.mark.parametrize("soft", [False, True])
def test_slopes_of_scores(cls: Any, formula: Any, fields: Any, soft: bool) -> None:
    pred, target, weights = draw(1, 3, 4, soft=soft)
    loss, leaf = cls(**fields), pred.requires_grad_()
    assert gradcheck(lambda x: loss(x, target, weight_map=weights), leaf)
    assert gradgradcheck(lambda x: loss(x, target, weight_map=weights), leaf)


@every
def test_without_a_positive_the_divisor_is_1(cls: Any, formula: Any, fields: Any) -> None:
    pred, _, _ = draw(2, 3, 4)
    loss = cls(normalizer="positives", **fields)(pred, torch.zeros(3, 4))
    assert loss.item() == pytest.approx(sum(formula(0.0, p, **fields) for p in pred.sigmoid().flatten().tolist()))


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("height", [0.0, 1e4, -1e4])
def test_finite_scores_give_finite_losses(cls: Any, formula: Any, fields: Any, dtype: Any, height: float) -> None:
    for target in (torch.tensor([[0.0, 0.3, 1.0]]), torch.tensor([[0, 1, 1]])):
        pred = torch.full((1, 3), height, dtype=dtype, requires_grad=True)
        loss = cls(**fields)(pred, target)
        (slope,) = torch.autograd.grad(loss, pred)
        assert loss.dtype == torch.float32
        assert bool(loss.isfinite())
        assert bool(slope.isfinite().all())


def test_scores_are_of_classes_that_do_not_exclude_each_other() -> None:
    for cls in (QualityFocalLoss, VarifocalLoss):
        with pytest.raises(ConfigError, match="task='multiclass'. Expected 'multilabel' or 'binary'"):
            cls(task="multiclass")


@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from(["mean", "sum", "none"]), st.booleans())
def test_distances_between_bins_are_their_loop(seed: int, num_bins: int, reduction: str, of_boxes: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 4) if of_boxes else (12,)
    pred = torch.randn(shape[0], num_bins, *shape[1:], generator=generator, dtype=torch.float64)
    target = torch.rand(shape, generator=generator, dtype=torch.float64) * (num_bins - 1)
    whole = torch.rand(shape, generator=generator) < 0.3
    target = torch.where(whole, target.round(), target)  # on a bin, the last one too
    weights = torch.randint(0, 3, shape, generator=generator).double()
    log_p = torch.log(pred.exp() / pred.exp().sum(1, keepdim=True)).movedim(1, -1).reshape(-1, num_bins).tolist()
    terms = []
    for row, y, w in zip(log_p, target.flatten().tolist(), weights.flatten().tolist(), strict=True):
        shares = [max(0.0, 1 - abs(y - k)) for k in range(num_bins)]  # of the bins around y, by their nearness
        terms.append(-w * math.fsum(s * x for s, x in zip(shares, row, strict=True)))
    found = DFLoss(reduction=reduction)(pred, target, weight_map=weights)
    below = weights.sum().item() or 1.0
    expected = {"none": terms, "sum": [math.fsum(terms)], "mean": [math.fsum(terms) / below]}[reduction]
    assert found.flatten().tolist() == pytest.approx(expected, rel=1e-11, abs=1e-13)
    assert reduction != "none" or found.shape == target.shape


def test_known_distributions() -> None:
    assert DFLoss()(torch.zeros(2, 16, 4), torch.full((2, 4), 3.3)).item() == pytest.approx(math.log(16), rel=1e-6)
    sure = torch.full((1, 3), -1e4).index_fill(1, torch.tensor([1]), 1e4)
    assert DFLoss()(sure, torch.tensor([1])).item() == 0


@pytest.mark.parametrize("mask", [torch.tensor([True, False]), torch.tensor([[True], [False]]).expand(2, 4)])
def test_distances_that_do_not_count(mask: Tensor) -> None:
    pred, target = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).double(), torch.full((2, 4), 1.5)
    expected = DFLoss()(pred[:1], target[:1])
    pred[1], target[1] = torch.nan, torch.nan
    leaf = pred.requires_grad_()
    loss = DFLoss()(leaf, target, mask=mask)
    (slope,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(loss, expected, rtol=1e-13, atol=0)
    assert not slope[1].any()
    assert gradcheck(lambda x: DFLoss()(x, target[:1]), leaf[:1].detach().requires_grad_())


def test_distances_out_of_range_are_left_out_and_counted() -> None:
    pred, target = torch.zeros(4, 3), torch.tensor([0.5, -0.1, 2.5, 2.0])
    loss = DFLoss(reduction="sum")
    assert loss(pred, target).item() == pytest.approx(2 * math.log(3), rel=1e-6)
    with pytest.warns(UserWarning, match="2 targets have a label out of range"):
        assert collect({"a": loss})["a/bad_targets"] == 2
    with pytest.raises(DltoolsError, match="2 targets are out of range. Expected 0 to 2.*clamp them, or more bins"):
        DFLoss(check=True)(pred, target)


@pytest.mark.parametrize(("pred", "target"), [((4, 3), (4, 3)), ((4, 1), (4,)), ((4,), (4,)), ((2, 3, 4), (2, 3))])
def test_bins_that_do_not_fit(pred: Any, target: Any) -> None:
    with pytest.raises(ShapeError, match=r"logits of K >= 2 bins \(N, K, \*S\), target \(N, \*S\).*dimension 1"):
        DFLoss()(torch.zeros(pred), torch.zeros(target))
