"""Losses of pairs of boxes against plain numbers; what counts, how much, in which form."""

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
from dltools.functional import box_convert, box_iou
from dltools.losses import (
    AlphaIoULoss,
    BoxLoss,
    BoxLossCfg,
    CIoULoss,
    CombineCfg,
    DIoULoss,
    EIoULoss,
    GIoULoss,
    GIoULossCfg,
    IoULoss,
    IoULossCfg,
    MIoU,
    MIoULoss,
    MPDIoULoss,
    NWDLoss,
    SIoULoss,
    SIoULossCfg,
    View,
)
from tests.losses.detection import boxes as plain

CASES: dict[str, tuple[BoxLoss[Any], plain.Shape]] = {
    "iou": (IoULoss(), lambda a, b: 1 - plain.iou(a, b)),
    "giou": (GIoULoss(), lambda a, b: 1 - plain.giou(a, b)),
    "diou": (DIoULoss(), lambda a, b: 1 - plain.diou(a, b)),
    "ciou": (CIoULoss(), lambda a, b: 1 - plain.ciou(a, b)),
    "eiou": (EIoULoss(), plain.eiou_loss),
    "siou": (SIoULoss(), plain.siou_loss),
    "siou 2": (SIoULoss(theta=2.0), lambda a, b: plain.siou_loss(a, b, 2.0)),
    "alpha 3": (AlphaIoULoss(), lambda a, b: 1 - plain.iou(a, b) ** 3),
    "alpha 1.5": (AlphaIoULoss(alpha=1.5), lambda a, b: 1 - plain.iou(a, b) ** 1.5),
    "mpdiou": (MPDIoULoss(image_size=(3.0, 4.0)), lambda a, b: plain.mpdiou_loss(a, b, (3.0, 4.0))),
    "nwd": (NWDLoss(), lambda a, b: plain.nwd_loss(a, b, 12.8)),
    "nwd 2": (NWDLoss(constant=2.0), lambda a, b: plain.nwd_loss(a, b, 2.0)),
}
every = pytest.mark.parametrize("name", CASES)


def of(loss: BoxLoss[Any], **fields: Any) -> Any:
    """The same loss with other fields."""
    return type(loss)(loss.cfg.replace(**fields))


@every
def test_losses_are_those_of_the_papers(name: str) -> None:
    loss, shape = CASES[name]
    for pred, target in (plain.draw(0, 200), plain.odd(1)):
        expected = plain.each(shape, pred, target)
        for fmt in ("xyxy", "xywh", "cxcywh"):
            given = [box_convert(x, "xyxy", fmt) for x in (pred, target)]
            found = of(loss, fmt=fmt, reduction="none")(*given)
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
        assert loss(pred, target).item() == pytest.approx(expected.mean().item(), rel=1e-12)
        assert of(loss, reduction="sum")(pred, target).item() == pytest.approx(expected.sum().item(), rel=1e-12)


def test_known_values() -> None:
    corners = torch.tensor([[0.0, 0, 1, 1], [2, 0, 3, 1], [0, 0, 2, 1], [0, 0, 1, 2]])
    unit, beside, wide, high = corners.split(1)
    assert GIoULoss()(unit, beside).item() == pytest.approx(4 / 3, abs=1e-6)
    assert DIoULoss()(unit, beside).item() == pytest.approx(1.4, abs=1e-6)
    assert CIoULoss()(wide, high).item() == pytest.approx(0.7629183, abs=1e-6)
    assert MIoULoss is MIoU is IoULoss


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_box_with_itself_is_0_and_flat(name: str, dtype: torch.dtype) -> None:
    for boxes in (plain.draw(2, 50)[0], plain.odd(3)[0]):
        pred = boxes.to(dtype).requires_grad_()
        loss = of(CASES[name][0], reduction="none")(pred, pred.detach())
        (slope,) = torch.autograd.grad(loss.sum(), pred)
        assert not loss.any()
        torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-6)


@every
def test_unequal_boxes_without_area_never_match(name: str) -> None:
    pred, target = plain.odd(4)
    empty = (pred[:, 2:] <= pred[:, :2]).any(1) | (target[:, 2:] <= target[:, :2]).any(1)
    unequal = empty & (pred != target).any(1)
    loss = of(CASES[name][0], reduction="none")(pred[unequal], target[unequal])
    assert bool((loss > 0).all())
    if not name.startswith("nwd"):  # which is made for boxes that do not meet
        assert bool((loss >= 1).all())


def near(seed: int) -> tuple[Tensor, Tensor]:
    """Boxes that meet, and some that do not or are inverted."""
    pred, target = plain.draw(seed, 8)
    pred[3], pred[4] = pred[3, [2, 1, 0, 3]], pred[4, [2, 3, 0, 1]]
    return pred, target


@pytest.mark.parametrize("name", [name for name in CASES if name != "ciou"])
def test_first_and_second_slopes(name: str) -> None:
    loss = CASES[name][0]
    leaves = [x.requires_grad_() for x in near(5)]
    weight_map = torch.tensor([1.0, 2.0, 0.0, 1.0, 0.5, 1.0, 1.0, 1.0])
    assert gradcheck(lambda a, b: loss(a, b, weight_map=weight_map), leaves)
    assert gradgradcheck(lambda a, b: loss(a, b, weight_map=weight_map), leaves)


def test_the_trade_off_of_ciou_is_a_constant() -> None:
    pred, target = near(6)
    loss = plain.each(lambda a, b: 1 - plain.ciou(a, b), pred, target)
    without = plain.each(lambda a, b: 1 - plain.diou(a, b), pred, target)

    def aspect(x: Tensor) -> Tensor:
        """v of the paper."""
        angles = [torch.atan2(*(box[:, 2:] - box[:, :2]).clamp_min(0).unbind(1)) for box in (x, target)]
        return 4 / math.pi**2 * (angles[0] - angles[1]) ** 2

    frozen = torch.nan_to_num((loss - without) / aspect(pred))
    assert bool((frozen > 0.01).any())
    leaf = pred.requires_grad_()
    by_hand = DIoULoss(reduction="none")(leaf, target) + frozen * aspect(leaf)
    slopes = [torch.autograd.grad(x.sum(), leaf)[0] for x in (CIoULoss(reduction="none")(leaf, target), by_hand)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-10)


@given(
    st.integers(0, 10**6),
    st.sampled_from(list(CASES)),
    st.sampled_from(["mean", "sum", "none"]),
    st.sampled_from(["mask", "weight_map", "both"]),
)
def test_what_is_excluded_changes_nothing(seed: int, name: str, reduction: str, what: str) -> None:
    loss, shape = CASES[name]
    pred, target = plain.draw(seed, 6)
    generator = torch.Generator().manual_seed(seed)
    mask, weights = (torch.randint(0, 3, (6,), generator=generator).double() / 2 for _ in range(2))
    extra = {"mask": mask} if what == "mask" else {"weight_map": weights}
    extra |= {"mask": mask > 0} if what == "both" else {}
    weight = (mask > 0).double() if what == "mask" else weights * (1.0 if what == "weight_map" else (mask > 0).double())
    terms = weight * plain.each(shape, pred, target)
    pred[weight == 0], target[weight == 0] = torch.nan, torch.inf
    pred.requires_grad_()
    found = of(loss, reduction=reduction)(pred, target, **extra)
    (slope,) = torch.autograd.grad(found.sum(), pred)
    expected = {"none": terms, "sum": terms.sum(), "mean": terms.sum() / weight.sum().clamp_min(1e-9)}[reduction]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert bool(slope.isfinite().all())
    assert not slope[weight == 0].any()


numbers = st.floats(width=16, allow_nan=False, allow_infinity=False)
boxes = st.lists(st.one_of(numbers, st.sampled_from([0.0, 1.0, 6e-8])), min_size=4, max_size=4)


@given(
    st.lists(boxes, min_size=1, max_size=3),
    st.randoms(use_true_random=False),
    st.sampled_from(list(CASES)),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32]),
    st.sampled_from(["xyxy", "xywh", "cxcywh"]),
    st.sampled_from([1.0, 1e-12, 1e12, 1e30]),
)
def test_finite_boxes_give_finite_losses(rows: Any, random: Any, name: str, dtype: Any, fmt: str, scale: float) -> None:
    most = torch.finfo(dtype).max
    x = (torch.tensor(rows, dtype=torch.float64) * scale).clamp(-most, most).to(dtype)
    pred, target = x.clone().requires_grad_(), x[torch.tensor(random.sample(range(len(x)), len(x)))]
    loss = of(CASES[name][0], fmt=fmt, reduction="sum")(pred, target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite())
    assert pred.grad is not None
    assert bool(pred.grad.isfinite().all())


def test_sums_of_shards_add_up() -> None:
    pred, target = plain.draw(7, 9)
    weight_map = torch.arange(9.0)
    parts = [
        View(*(x[rows] for x in (pred, target)), None, weight_map[rows]) for rows in (slice(4), slice(0), slice(4, 9))
    ]
    for loss, _ in CASES.values():
        shards = [loss.sums(part) for part in parts]
        merged = {key: torch.stack([shard[key] for shard in shards]).sum(0) for key in shards[0]}
        torch.testing.assert_close(loss.value(merged), loss(pred, target, weight_map=weight_map))


def test_what_is_not_a_number_is_told() -> None:
    pred, target = plain.draw(8, 3)
    pred[1, 2] = torch.nan
    for loss, _ in CASES.values():
        assert loss(pred, target).isnan()
        assert of(loss, reduction="none")(pred, target).isnan().tolist() == [False, True, False]


class CornerLossCfg(BoxLossCfg["CornerLoss"]):
    """Of a user's own."""


class CornerLoss(BoxLoss[CornerLossCfg]):
    """Distance of the first corners, less the IoU."""

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        return (pred[:, :2] - target[:, :2]).abs().sum(1) - box_iou(pred, target)


def test_a_loss_of_ones_own_sees_corners_in_float32() -> None:
    found = CornerLoss(fmt="cxcywh")(torch.tensor([[1.0, 1, 2, 2]]).half(), torch.tensor([[2, 1, 2, 2]]))
    assert found.item() == pytest.approx(1 - 1 / 3, abs=1e-6)
    assert found.dtype == torch.float32


def test_a_combination_reads_once() -> None:
    terms = {"iou": IoULossCfg(), "giou": GIoULossCfg(), "siou": SIoULossCfg()}
    pred, target = plain.draw(9, 5)
    view = View({"b": pred}, {"b": target})
    loss = CombineCfg(terms=terms, routes=dict.fromkeys(terms, ("b", "b"))).build()
    loss.sums(view)
    assert len(view.route("b", "b")._made) == 1
    expected = sum(one.build()(pred, target) for one in terms.values())
    torch.testing.assert_close(loss({"b": pred}, {"b": target}), expected)


MISFITS = [
    (torch.zeros(3, 4), torch.zeros(2, 4), "one target for each prediction"),
    (torch.zeros(3, 5), torch.zeros(3, 5), r"boxes \(N, 4\)"),
    (torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), r"pred.view\(-1, 4\)"),
    (torch.zeros(3, 4, dtype=torch.int64), torch.zeros(3, 4), r"pred.float\(\)"),
]


@pytest.mark.parametrize(("pred", "target", "text"), MISFITS)
def test_what_does_not_fit(pred: Tensor, target: Tensor, text: str) -> None:
    with pytest.raises(ShapeError, match=rf"pred \({pred.shape[0]}, .*{text}"):
        GIoULoss()(pred, target)


def test_masks_and_options_that_do_not_fit() -> None:
    pred, target = plain.draw(0, 3)
    for name in ("mask", "weight_map"):
        with pytest.raises(ShapeError, match=rf"{name} \(3, 4\). Expected {name} \(3,\)"):
            IoULoss()(pred, target, **{name: torch.ones(3, 4)})
    with pytest.raises(ConfigError, match="fmt"):
        IoULossCfg(fmt="yxyx")  # type: ignore[arg-type]
    for fields in ({}, {"image_size": (0.0, 1.0)}, {"image_size": (1.0,)}):
        with pytest.raises(ConfigError, match="image_size"):
            MPDIoULoss(**fields)
    with pytest.raises(ConfigError, match="alpha"):
        AlphaIoULoss(alpha=0.5)


def test_check_looks_at_targets() -> None:
    pred, target = plain.draw(0, 3)
    target[1] = torch.tensor([4.0, 0.0, 2.0, 1.0])
    with pytest.raises(DltoolsError, match=r"1 target boxes end before they begin, fmt 'xyxy'.*fmt='xywh' or 'cxcywh'"):
        IoULoss(check=True)(pred, target)
    assert IoULoss(check=True)(pred, target, mask=torch.tensor([True, False, True])).item() > 0
    target[1, 0] = torch.inf
    with pytest.raises(DltoolsError, match="target is not finite"):
        IoULoss(check=True, fmt="xywh")(pred, target)
