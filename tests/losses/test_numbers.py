"""Values against torch's cross entropy, known numbers and loops written out, in float64."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.losses import (
    CE,
    CELoss,
    CrossEntropyLoss,
    DiceLoss,
    F1Loss,
    FocalLoss,
    SoftDICE,
    SoftDiceLoss,
    TverskiyLoss,
    TverskyLoss,
)
from tests.losses import reference as ref

TASKS = ["multiclass", "multilabel", "binary"]
CHANNELS = {"multiclass": 4, "multilabel": 3, "binary": 1}
CLOSE: dict[str, Any] = {"rel": 1e-12, "abs": 1e-12}


def given(task: str, soft: bool, seed: int, *sizes: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """A batch with a mask, a weight map and, for hard labels, some that are ignored."""
    pred, target = ref.batch(seed, 3, CHANNELS[task], *sizes, task=task, soft=soft)
    generator = torch.Generator().manual_seed(seed + 1)
    mask = torch.rand(3, *sizes, generator=generator) > 0.2
    weight_map = torch.randint(0, 4, (3, *sizes), generator=generator).double() / 2
    if not soft:
        target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    return pred, target, {"mask": mask, "weight_map": weight_map}


def held(pred: Tensor, task: str, holds: str) -> Tensor:
    """Logits as what a loss declares to hold."""
    log_p = pred.log_softmax(1) if task == "multiclass" else F.logsigmoid(pred)
    return {"logits": pred, "log_probs": log_p, "probs": log_p.exp()}[holds]


def test_known_numbers() -> None:
    pred, target = torch.zeros(1, 1, 4, 4, dtype=torch.float64), torch.ones(1, 1, 4, 4, dtype=torch.int64)
    binary: list[tuple[Any, float]] = [
        (DiceLoss(task="binary"), 1 / 3),
        (TverskyLoss(task="binary", alpha=1.0, beta=1.0), 1 / 2),
        (TverskyLoss(task="binary", alpha=0.3, beta=0.7), 7 / 17),
        (CELoss(task="binary"), math.log(2)),
        (FocalLoss(task="binary", alpha=0.25), 0.25 * 0.25 * math.log(2)),
    ]
    for loss, value in binary:
        assert loss(pred, target).item() == pytest.approx(value, abs=1e-15)
        assert loss(pred[:, 0], target.float()).item() == pytest.approx(value, abs=1e-15)
    assert FocalLoss(task="binary", alpha=0.25)(pred, target).item() == pytest.approx(0.0433217, abs=5e-8)
    zeros = torch.zeros(2, 19, 4, 4)
    assert CELoss()(zeros, torch.ones(2, 4, 4, dtype=torch.uint8)).item() == pytest.approx(2.9444390, abs=3e-7)
    assert FocalLoss()(zeros[:, :2], torch.ones(2, 4, 4, dtype=torch.int32)).item() == pytest.approx(
        0.1732868, abs=3e-8
    )


def test_other_names_are_the_same_classes() -> None:
    assert CE is CrossEntropyLoss is CELoss
    assert F1Loss is SoftDICE is SoftDiceLoss is DiceLoss
    assert TverskiyLoss is TverskyLoss


def test_perfect_half_precision_prediction_of_many_pixels() -> None:
    target = torch.arange(512 * 512).view(1, 512, 512) % 2
    pred = torch.stack([1 - target, target], 1).half() * 100 - 50
    loss = DiceLoss()(pred, target)
    assert loss.dtype == torch.float32
    assert loss.item() == 0


@pytest.mark.parametrize("sizes", [(), (5,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 0.0, 1.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_is_that_of_torch(
    sizes: tuple[int, ...], reduction: str, weights: tuple[float, ...] | None, smoothing: float
) -> None:
    pred, target = ref.batch(0, 6, 4, *sizes)
    target[0] = -100
    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    one, two = pred.clone().requires_grad_(), pred.clone().requires_grad_()
    ours = CELoss(reduction=reduction, class_weights=weights, label_smoothing=smoothing, ignore_index=-100)(one, target)
    theirs = F.cross_entropy(two, target, tensor, reduction=reduction, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    ours.sum().backward()
    theirs.sum().backward()
    torch.testing.assert_close(one.grad, two.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_is_that_of_torch(reduction: Any) -> None:
    for soft in (False, True):
        pred, target = ref.batch(1, 4, 1, 6, task="binary", soft=soft)
        ours = CELoss(task="binary", reduction=reduction)(pred, target)
        theirs = F.binary_cross_entropy_with_logits(pred, target.double(), reduction=reduction)
        torch.testing.assert_close(ours, theirs.squeeze(1) if reduction == "none" else theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("holds", ["logits", "probs", "log_probs"])
@pytest.mark.parametrize("weighted", [False, True])
def test_pixel_losses_are_their_loops(task: str, soft: bool, holds: str, weighted: bool) -> None:
    pred, target, extra = given(task, soft, 3, 2, 3)
    pred = held(pred, task, holds)
    how = {"task": task, "holds": holds, "ignore_index": 255}
    weights = (0.5, 2.0, 0.0, 1.0)[: CHANNELS[task]] if weighted else None
    seen = ref.elements(pred, target, **how, **extra)
    assert 0 < len(seen) < pred.numel()
    for reduction in ("mean", "sum"):
        common: dict[str, Any] = {**how, "reduction": reduction, "class_weights": weights}
        for smoothing in (0.0, 0.2):
            expected = ref.pixel_loss(
                seen, ref.cross_entropy, class_weights=weights, smoothing=smoothing, reduction=reduction
            )
            assert CELoss(**common, label_smoothing=smoothing)(pred, target, **extra).item() == pytest.approx(
                expected, **CLOSE
            )
        for gamma, alpha in itertools.product((0.0, 0.5, 1.0, 2.0, 2.5), (None, 0.25)):
            if alpha is None or task != "multiclass":
                shape = ref.focal(gamma, alpha)
                expected = ref.pixel_loss(seen, shape, class_weights=weights, reduction=reduction)
                ours = FocalLoss(**common, gamma=gamma, alpha=alpha)(pred, target, **extra)
                assert ours.item() == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("task", ["multilabel", "binary"])
@pytest.mark.parametrize("soft", [False, True])
def test_focal_loss_by_the_number_of_positives(task: str, soft: bool) -> None:
    pred, target, extra = given(task, soft, 5, 7)
    weights = (0.5, 2.0, 1.5)[: CHANNELS[task]]
    seen = ref.elements(pred, target, task=task, ignore_index=255, **extra)
    expected = ref.pixel_loss(seen, ref.focal(2.0, 0.3), class_weights=weights, normalizer="positives")
    loss = FocalLoss(task=task, alpha=0.3, normalizer="positives", ignore_index=255, class_weights=weights)
    assert loss(pred, target, **extra).item() == pytest.approx(expected, **CLOSE)
    none = FocalLoss(task=task, normalizer="positives")(pred, torch.zeros_like(pred)).item()
    alone = ref.pixel_loss(ref.elements(pred, torch.zeros_like(pred), task=task), ref.focal(2.0), reduction="sum")
    assert none == pytest.approx(alone, **CLOSE)


@pytest.mark.parametrize("task", TASKS)
def test_each_pixel_by_itself(task: str) -> None:
    pred, target, extra = given(task, False, 7, 2, 3)
    loss = FocalLoss(task=task, reduction="none", ignore_index=255)(pred, target, **extra)
    seen = ref.elements(pred, target, task=task, ignore_index=255, **extra)
    expected = torch.zeros(pred.shape if task != "multiclass" else target.shape, dtype=torch.float64)
    for at, value in ref.pixel_loss(seen, ref.focal(2.0), reduction="none").items():
        expected[at] = value
    assert loss.shape == {"multiclass": (3, 2, 3), "multilabel": (3, 3, 2, 3), "binary": (3, 2, 3)}[task]
    torch.testing.assert_close(loss, expected.view_as(loss), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("over", ["batch", "sample"])
@pytest.mark.parametrize("empty", ["skip", "score", "zero"])
@pytest.mark.parametrize("holds", ["logits", "probs", "log_probs"])
def test_overlap_losses_are_their_loops(task: str, soft: bool, over: str, empty: str, holds: str) -> None:
    pred, target, extra = given(task, soft, 9, 2, 4)
    pred = held(pred, task, holds)
    num = CHANNELS[task]
    if task == "multiclass":  # class 2 is nowhere, class 1 not in the first sample
        target = target.clone()
        if soft:
            target[:, 2] = target[0, 1] = 0
        else:
            target[(target == 2) | ((target == 1) & (torch.arange(3) == 0).view(3, 1, 1))] = 3
    else:
        target[0] = 0
    how = {"task": task, "holds": holds, "ignore_index": 255}
    seen = ref.elements(pred, target, **how, **extra)
    scores: list[tuple[Any, Any, dict[str, Any]]] = [
        (DiceLoss, ref.dice, {}),
        (TverskyLoss, ref.tversky(0.3, 0.6), {"alpha": 0.3, "beta": 0.6}),
    ]
    for (cls, score, own), reduction in itertools.product(scores, ("mean", "sum", "none")):
        for weights, classes in ((None, None), ((0.5, 2.0, 3.0, 1.0)[:num], None), (None, (0, num - 1)[: min(num, 2)])):
            classes = None if num == 1 else classes
            options: dict[str, Any] = {"over": over, "empty": empty, "reduction": reduction}
            options |= {"class_weights": weights, "classes": classes}
            expected = ref.overlap_loss(seen, score, tuple(pred.shape), **options)
            ours = cls(**how, **options, **own)(pred, target, **extra).numpy()
            np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


def test_doubled_class_weights_change_no_mean() -> None:
    pred, target = ref.batch(11, 3, 3, 5)
    for cls in (CELoss, FocalLoss, DiceLoss, TverskyLoss):
        one = cls(class_weights=(0.5, 1.0, 3.0))(pred, target)
        two = cls(class_weights=(1.0, 2.0, 6.0))(pred, target)
        torch.testing.assert_close(one, two, rtol=1e-14, atol=0)


def test_empty_score_pushes_an_absent_class_down() -> None:
    pred = torch.zeros(1, 3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.zeros(1, 4, dtype=torch.int64)
    for empty, pushed in (("skip", False), ("zero", False), ("score", True)):
        loss = DiceLoss(empty=empty, class_weights=(0.0, 1.0, 0.0))(pred, target)
        (grad,) = torch.autograd.grad(loss, pred)
        assert bool((grad[:, 1] > 0).all()) is pushed
        assert loss.item() == pytest.approx(1 / 3 if pushed else 0, abs=1e-15)


def test_sums_of_many_pixels_in_single_precision() -> None:
    pred, target = ref.batch(13, 1, 3, 700, 300, dtype=torch.float32)
    for cls in (CELoss, FocalLoss, DiceLoss, TverskyLoss):
        assert cls()(pred, target).item() == pytest.approx(cls()(pred.double(), target).item(), rel=3e-7)
