"""Losses of skeletons and boundaries against loops over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dltools.losses import BoundaryF1Loss, CLDiceLoss
from tests.losses.segmentation.loops import Image, Map, given, morph

CLOSE: dict[str, Any] = {"rel": 1e-11, "abs": 1e-13}
scenes = pytest.mark.parametrize(
    ("task", "soft", "sizes"),
    [
        ("multiclass", False, (4, 5)),
        ("multiclass", True, (4, 5)),
        ("multilabel", False, (7,)),
        ("multilabel", True, (3, 3, 2)),
        ("binary", False, (3, 3, 3)),
        ("binary", True, (5, 4)),
    ],
)
Thin = tuple[Map, Map]
"""The thin part of a mask, and the room that the other side's may take."""


def skeleton(mask: Map, valid: Map, iterations: int) -> Thin:
    """Soft skeleton of Shit et al., algorithm 1."""

    def ridge(x: Map) -> Map:
        return np.maximum(x - morph(morph(x, valid, min, direct=True), valid, max), 0)

    x = np.where(valid, mask, 0)
    thin = ridge(x)
    for _ in range(iterations):
        x = morph(x, valid, min, direct=True)
        thin = thin + np.maximum(ridge(x) - thin * ridge(x), 0)
    return thin, np.where(valid, mask, 0)


def rim(mask: Map, valid: Map, width: int, tolerance: int) -> Thin:
    """The soft boundary, and that boundary widened."""
    inner = mask
    for _ in range(width):
        inner = morph(inner, valid, min)
    thin = wide = np.where(valid, mask - inner, 0)
    for _ in range(tolerance):
        wide = morph(wide, valid, max)
    return thin, wide


def share(hits: float, all_: float) -> float:
    return hits / all_ if all_ else 1.0


def expected(groups: list[list[Image]], thin: Any) -> float:
    """Mean loss of groups of images of one class; those without a thin part in the target are left out."""
    losses = []
    for group in groups:
        sums = np.zeros(4)
        for one in group:
            (thin_p, room_p), (thin_y, room_y) = (thin(m, one.valid) for m in (one.p, one.y))
            parts = (thin_p * room_y, thin_p, thin_y * room_p, thin_y)
            sums += [float((one.weight * part).sum()) for part in parts]
        if sums[3]:
            precision, recall = share(sums[0], sums[1]), share(sums[2], sums[3])
            losses.append(1 - 2 * precision * recall / (precision + recall) if precision + recall else 1.0)
    return sum(losses) / len(losses)


@scenes
@pytest.mark.parametrize("over", ["batch", "sample"])
def test_losses_are_their_loops(task: Any, soft: bool, sizes: tuple[int, ...], over: Any) -> None:
    found = given(task, *sizes, soft=soft)
    classes = range(len(found.images[0]))
    groups = [[sample[c] for sample in found.images] for c in classes]
    if over == "sample":
        groups = [[sample[c]] for sample in found.images for c in classes]
    how: dict[str, Any] = {"task": task, "ignore_index": 255, "over": over}
    cases: list[tuple[Any, Any]] = [
        (CLDiceLoss(**how, iterations=2), lambda m, valid: skeleton(m, valid, 2)),
        (BoundaryF1Loss(**how), lambda m, valid: rim(m, valid, 1, 2)),
        (BoundaryF1Loss(**how, width=2, tolerance=1), lambda m, valid: rim(m, valid, 2, 1)),
    ]
    for loss, thin in cases:
        value = loss(found.pred, found.target, **found.extra).item()
        assert value == pytest.approx(expected(groups, thin), **CLOSE)


def test_a_tube_that_is_found_and_one_that_is_broken() -> None:
    tube = torch.zeros(1, 1, 9, 20, dtype=torch.float64)
    tube[..., 3:6, :] = 1
    loss = CLDiceLoss(task="binary", holds="probs", iterations=3)
    assert loss(tube, tube).item() == 0
    thick = torch.zeros_like(tube)
    thick[..., 2:7, :] = 1
    assert loss(thick, tube).item() == 0  # its skeleton is the same
    broken = tube.clone()
    broken[..., 8:12] = 0
    precision, recall = 1.0, 16 / 20
    assert loss(broken, tube).item() == pytest.approx(1 - 2 * precision * recall / (precision + recall), abs=1e-12)


def test_boundaries_within_the_tolerance() -> None:
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    mask[..., 4:12, 4:12] = 1
    for tolerance, shift, off in ((1, 1, False), (2, 2, False), (1, 3, True)):
        loss = BoundaryF1Loss(task="binary", holds="probs", tolerance=tolerance)
        moved = loss(mask.roll((shift, shift), (2, 3)), mask).item()
        assert (moved > 0.3) if off else (moved == 0)


@pytest.mark.parametrize("loss", [CLDiceLoss(iterations=2), BoundaryF1Loss(), BoundaryF1Loss(over="sample")])
def test_slopes_are_those_of_the_value(loss: Any) -> None:
    found = given("multiclass", 4, 5, seed=2)
    target = found.target.masked_fill(found.target == 255, 0)
    pred = found.pred.requires_grad_()
    (grad,) = torch.autograd.grad(loss(pred, target), pred)
    assert int(grad.count_nonzero()) > 20
    assert torch.autograd.gradcheck(lambda x: loss(x, target), pred)
