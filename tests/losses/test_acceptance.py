"""Numbers that were written down before the losses were: by hand, from the definitions of the papers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools import losses
from dltools.losses import (
    AdaptiveWingLoss,
    BCELoss,
    BoundaryLoss,
    CELoss,
    CIoULoss,
    CLDiceLoss,
    DiceLoss,
    DIoULoss,
    FocalLoss,
    FocalTverskyLoss,
    GDiceLoss,
    GIoULoss,
    HausdorffLoss,
    IoULoss,
    JaccardLoss,
    KLLoss,
    LovaszSoftmaxLoss,
    MAPLoss,
    OKSLoss,
    Surface2EdgeLoss,
    TverskyLoss,
    WingLoss,
)

PROBS: dict[str, Any] = {"task": "binary", "holds": "probs"}
LINE = torch.tensor([[[[0.0, 0, 1, 0, 0]]]], dtype=torch.float64)


def boxes(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (DiceLoss(task="binary"), 1 - 2 * 8 / (8 + 16)),
        (JaccardLoss(task="binary"), 1 - 8 / 16),
        (TverskyLoss(task="binary", alpha=0.3, beta=0.7), 7 / 17),
        (FocalTverskyLoss(task="binary", alpha=0.3, beta=0.7), (7 / 17) ** 0.75),
        (BCELoss(), math.log(2)),
        (FocalLoss(task="binary", alpha=0.25), 0.25 * 0.5**2 * math.log(2)),
    ],
)
def test_logits_of_0_where_all_is_there(loss: Any, value: float) -> None:
    pred, target = torch.zeros(1, 1, 4, 4, dtype=torch.float64), torch.ones(1, 1, 4, 4, dtype=torch.int64)
    assert loss(pred, target).item() == pytest.approx(value, abs=1e-14)


def test_logits_of_0_of_several_classes() -> None:
    zeros, target = torch.zeros(2, 19, 4, 4, dtype=torch.float64), torch.ones(2, 4, 4, dtype=torch.int64)
    assert CELoss()(zeros, target).item() == pytest.approx(2.9444390, abs=5e-8)
    assert FocalLoss()(zeros[:, :2], target).item() == pytest.approx(0.1732868, abs=5e-8)
    assert FocalLoss(task="binary", alpha=0.25)(zeros[:, :1], target).item() == pytest.approx(0.0433217, abs=5e-8)


@pytest.mark.parametrize("method", ["hist", "exact"])
def test_lovasz_of_a_hard_prediction_is_the_mean_jaccard_loss(method: Any) -> None:
    p, target = torch.tensor([[0.0, 1, 1, 1]], dtype=torch.float64), torch.tensor([[0, 0, 1, 1]])
    loss = LovaszSoftmaxLoss(holds="probs", method=method)(torch.stack([1 - p, p], 1), target)
    assert loss.item() == pytest.approx(0.4166667, abs=5e-8)
    assert loss.item() == pytest.approx(((1 - 1 / 2) + (1 - 2 / 3)) / 2, abs=1e-12)


def test_boxes_beside_and_across() -> None:
    one, beside = boxes([0, 0, 1, 1]), boxes([2, 0, 3, 1])
    assert GIoULoss()(one, beside).item() == pytest.approx(1 + 1 / 3, abs=1e-14)
    assert DIoULoss()(one, beside).item() == pytest.approx(1 + 2**2 / (3**2 + 1**2), abs=1e-14)
    wide, high = boxes([0, 0, 2, 1]), boxes([0, 0, 1, 2])
    iou, distance = 1 / 3, (0.5**2 + 0.5**2) / (2**2 + 2**2)
    v = 4 / math.pi**2 * (math.atan(2) - math.atan(1 / 2)) ** 2
    assert CIoULoss()(wide, high).item() == pytest.approx(1 - iou + distance + v * v / (1 - iou + v), abs=1e-14)
    assert CIoULoss()(wide, high).item() == pytest.approx(0.7629183, abs=5e-8)


@pytest.mark.parametrize("name", ["IoU", "GIoU", "DIoU", "CIoU", "EIoU", "SIoU", "AlphaIoU", "MPDIoU", "NWD"])
def test_boxes_match_themselves_and_never_another_without_area(name: str) -> None:
    fields = {"image_size": (64.0, 64.0)} if name == "MPDIoU" else {}
    loss = getattr(losses, f"{name}Loss")(reduction="none", **fields)
    same = boxes([0, 0, 1, 1], [3, 4, 9, 5], [2, 2, 2, 2], [0, 0, 0, 5], [-7, 1, 8, 3])
    assert loss(same, same).tolist() == pytest.approx([0] * 5, abs=1e-12)
    if name != "NWD":  # which is of distances, not of areas
        thin, other = boxes([2, 2, 2, 2], [0, 0, 0, 5], [4, 4, 1, 1]), boxes([0, 0, 3, 3], [0, 0, 0, 4], [0, 0, 5, 5])
        assert bool((loss(thin, other) > 0.99).all())
        assert bool((loss(other, thin) > 0.99).all())


def test_distances_on_a_line() -> None:
    one, half, quarter = torch.ones_like(LINE), torch.full_like(LINE, 0.5), torch.full_like(LINE, 0.25)
    cases: list[tuple[Any, Tensor, float]] = [
        (BoundaryLoss(**PROBS), one, (2 + 1 + 0 + 1 + 2) / 5),
        (BoundaryLoss(**PROBS), half, 0.6),
        (HausdorffLoss(**PROBS), quarter, (2 * 4 / 16 + 2 * 1 / 16 + 9 / 16) / 5),
        (Surface2EdgeLoss(**PROBS), one, 1.2 + 1),
        (Surface2EdgeLoss(**PROBS), LINE, 0),
    ]
    for loss, pred, value in cases:
        for target in (LINE, LINE.long(), LINE[:, 0].long()):
            assert loss(pred, target).item() == pytest.approx(value, abs=1e-14)
    assert HausdorffLoss(**PROBS)(quarter, LINE).item() == pytest.approx(0.2375, abs=1e-14)


def test_generalized_dice_of_a_rare_class() -> None:
    target, pred = torch.tensor([[[0, 1], [1, 1]]]), torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    inter, both = [0.5, 1.5], [2 + 1, 2 + 3]
    expected = 1 - 2 * (inter[0] + inter[1] / 9) / (both[0] + both[1] / 9)
    assert expected == pytest.approx(0.625, abs=1e-15)
    assert GDiceLoss()(pred, target).item() == pytest.approx(expected, abs=1e-14)


def test_precision_of_a_ranking() -> None:
    loss = MAPLoss()(torch.tensor([0.9, 0.8, 0.1], dtype=torch.float64), torch.tensor([0, 1, 0]))
    assert loss.item() == pytest.approx(0.5, abs=1e-4)


def test_points_and_distributions() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    expected = 10 * math.log(1 + 10 / 2)
    assert expected == pytest.approx(17.9175947, abs=5e-8)
    for error in (10 - 1e-12, 10, 10 + 1e-12):
        assert WingLoss()(zero + error, zero).item() == pytest.approx(expected, abs=1e-10)
        assert WingLoss()(zero - error, zero).item() == pytest.approx(expected, abs=1e-10)
    assert AdaptiveWingLoss()(zero, zero).item() == 0
    x = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert KLLoss(target_holds="logits")(x, x).item() == 0
    assert KLLoss(target_holds="logits", temperature=3.0)(x, x).item() == 0
    points = torch.rand(2, 17, 2, generator=torch.Generator().manual_seed(0))
    assert OKSLoss()(points, {"points": points, "area": torch.tensor([9.0, 1.0])}).item() == 0


def test_half_precision_of_many_pixels() -> None:
    target = torch.arange(512 * 512).view(1, 512, 512) % 2
    pred = torch.stack([1 - target, target], 1).half() * 100 - 50
    for loss in (DiceLoss(), JaccardLoss(), GDiceLoss(), CLDiceLoss(iterations=1)):
        assert loss(pred, target).item() == 0
    assert IoULoss()(boxes([0, 0, 3, 3]).half(), boxes([0, 0, 3, 3]).half()).dtype == torch.float32
