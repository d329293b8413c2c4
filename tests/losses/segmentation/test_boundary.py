"""Losses of distances against loops over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dltools.errors import ConfigError, ShapeError
from dltools.functional import distance_map
from dltools.losses import (
    BoundaryLoss,
    BoundaryLossCfg,
    HausdorffDTLoss,
    HausdorffERLoss,
    HausdorffLoss,
    Surface2EdgeLoss,
    SurfaceLoss,
)
from tests.losses.segmentation.loops import Image, Map, around, depth, given, morph, places, signed

CLOSE: dict[str, Any] = {"rel": 1e-12, "abs": 1e-13}
SIZES = [(7,), (4, 5), (3, 3, 2)]
scenes = pytest.mark.parametrize(
    ("task", "soft", "sizes"),
    [
        (task, soft, sizes)
        for task in ("multiclass", "multilabel", "binary")
        for soft in (False, True)
        for sizes in SIZES
    ],
)


def boundary(one: Image) -> Map:
    return one.p * signed(one.y > 0.5, one.valid)


def hausdorff(one: Image, alpha: float) -> Map:
    total = sum(sum(depth(m > 0.5, one.valid)) ** alpha for m in (one.p, one.y))
    return np.asarray((one.p - one.y) ** 2 * total)


def eroded(one: Image, alpha: float, erosions: int) -> Map:
    error = np.where(one.valid, (one.p - one.y) ** 2, 0)
    total = np.zeros(error.shape)
    for k in range(1, erosions + 1):
        near = 2 * error.ndim + 1
        mean = np.array([sum(error[to] for to in around(at, error, direct=True)) / near for at in places(error)])
        error = np.where(one.valid, np.maximum(mean.reshape(error.shape) - 0.5, 0), 0)
        low, high = error[one.valid].min(), error[one.valid].max()
        if high > low:
            error = np.where(one.valid, (error - low) / (high - low), 0)
        total += k**alpha * error
    return total


def mean(images: list[list[Image]], field: Any, weights: tuple[float, ...] | None = None) -> float:
    """Over pixels and classes."""
    above = below = 0.0
    for sample in images:
        for c, one in enumerate(sample):
            share = one.weight * (1.0 if weights is None else weights[c])
            above += float((share * field(one)).sum())
            below += float(share.sum())
    return above / below


@scenes
def test_losses_are_their_loops(task: Any, soft: bool, sizes: tuple[int, ...]) -> None:
    found = given(task, *sizes, soft=soft)
    weights = (1.0, 0.0, 2.5)[: len(found.images[0])]
    for own in (None, weights):
        how: dict[str, Any] = {"task": task, "ignore_index": 255, "class_weights": own}
        cases = [
            (BoundaryLoss(**how), boundary),
            (HausdorffLoss(**how), lambda one: hausdorff(one, 2.0)),
            (HausdorffLoss(**how, alpha=1.0), lambda one: hausdorff(one, 1.0)),
            (HausdorffERLoss(**how, erosions=4), lambda one: eroded(one, 2.0, 4)),
        ]
        for loss, field in cases:
            value = loss(found.pred, found.target, **found.extra).item()
            assert value == pytest.approx(mean(found.images, field, own), **CLOSE)


@scenes
def test_surfaces_with_edges_are_their_loops(task: Any, soft: bool, sizes: tuple[int, ...]) -> None:
    found = given(task, *sizes, soft=soft, seed=1)
    edges = []
    for c in range(len(found.images[0])):
        inter = both = target = 0.0
        for one in (sample[c] for sample in found.images):
            p, y = (morph(m, one.valid, max) - morph(m, one.valid, min) for m in (one.p, one.y))
            inter += float((one.weight * p * y).sum())
            both += float((one.weight * (p + y)).sum())
            target += float((one.weight * y).sum())
        edges += [1 - 2 * inter / both] if target else []
    for edge_weight in (1.0, 0.3):
        loss = Surface2EdgeLoss(task=task, ignore_index=255, edge_weight=edge_weight)
        expected = mean(found.images, boundary) + edge_weight * sum(edges) / len(edges)
        assert loss(found.pred, found.target, **found.extra).item() == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
def test_distances_may_come_from_the_loader(task: Any) -> None:
    found = given(task, 5, 6)
    target = found.target.masked_fill(found.target == 255, 0)
    num = found.pred.shape[1]
    each = torch.stack([target == c for c in range(num)], 1) if task == "multiclass" else target.bool()
    distance = distance_map(each, signed=True)
    for extra in ({}, {"weight_map": found.extra["weight_map"]}):
        loss = BoundaryLoss(task=task, target_holds="distance")(found.pred, distance, **extra)
        torch.testing.assert_close(
            loss.double(), BoundaryLoss(task=task)(found.pred, target, **extra), rtol=1e-6, atol=0
        )
    with pytest.raises(ShapeError, match="Expected distances in the shape of pred|equal shapes"):
        BoundaryLoss(task=task, target_holds="distance")(found.pred, distance[..., :4])
    with pytest.raises(ConfigError, match="ignore_index=3 with target_holds='distance'"):
        BoundaryLossCfg(target_holds="distance", ignore_index=3)


def test_a_class_everywhere_or_nowhere_has_no_distance() -> None:
    pred = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pred[:, 0] += 40  # the prediction's mask is everywhere too
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    for loss in (BoundaryLoss(), HausdorffLoss(), HausdorffERLoss()):
        assert loss(pred, target).item() == 0


def test_what_lies_inside_is_rewarded() -> None:
    target = torch.zeros(1, 1, 9, 9)
    target[..., 1:8, 1:8] = 1
    each = BoundaryLoss(task="binary", holds="probs", reduction="none")(torch.ones_like(target), target)[0, 0]
    assert [each[at].item() for at in ((4, 4), (1, 1), (0, 4))] == [-3, 0, 1]


def test_errors_far_from_an_edge_weigh_more() -> None:
    target = torch.zeros(1, 1, 1, 9)
    target[..., 0] = 1
    far, near = torch.zeros_like(target), torch.zeros_like(target)
    far[..., 8] = near[..., 1] = 0.5
    loss = HausdorffLoss(task="binary", holds="probs", reduction="sum", alpha=1.0)
    away = loss(far, target) - loss(torch.zeros_like(target), target)
    beside = loss(near, target) - loss(torch.zeros_like(target), target)
    assert away.item() == pytest.approx(0.25 * 8, rel=1e-6)
    assert beside.item() == pytest.approx(0.25 * 1, rel=1e-6)


@pytest.mark.parametrize("loss", [HausdorffERLoss(erosions=3), HausdorffERLoss(erosions=2, task="multilabel")])
def test_erosions_have_the_slope_of_their_value(loss: Any) -> None:
    pred = 6 * torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = torch.zeros(2, 4, 4, dtype=torch.int64) if loss.cfg.task == "multiclass" else torch.ones_like(pred)
    pred.requires_grad_()
    (grad,) = torch.autograd.grad(loss(pred, target), pred)
    assert int(grad.count_nonzero()) > 20
    assert torch.autograd.gradcheck(lambda x: loss(x, target), pred)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, target), pred)


def test_other_names() -> None:
    assert SurfaceLoss is BoundaryLoss
    assert HausdorffDTLoss is HausdorffLoss
