"""Losses of elements: what fits, what counts, how much; a loop over elements says the same."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dltools.errors import DltoolsError, ShapeError
from dltools.losses import (
    AdaptiveWingLoss,
    CharbonnierLoss,
    CombineCfg,
    CosineLoss,
    ElementLoss,
    ElementLossCfg,
    HeatmapLoss,
    L1Loss,
    L1LossCfg,
    MSELoss,
    MSELossCfg,
    WingLoss,
)
from dltools.meters import collect


class CubeLossCfg(ElementLossCfg["CubeLoss"]):
    """Of a user's own."""


class CubeLoss(ElementLoss[CubeLossCfg]):
    """The cube of the absolute error."""

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        return (pred - target).abs() ** 3


class PointLossCfg(ElementLossCfg["PointLoss"]):
    """Of a user's own."""


class PointLoss(ElementLoss[PointLossCfg]):
    """The distance of points."""

    mask_dim: ClassVar[int] = -1
    whole: ClassVar[bool] = True

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        return (pred - target).square().sum(-1, keepdim=True).sqrt()


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    st.sampled_from(["", "full", "one channel", "no channel"]),
    st.sampled_from(["", "full", "one channel", "no channel"]),
    st.sampled_from(["mean", "sum", "none"]),
)
def test_a_loss_is_its_loop(seed: int, sizes: list[int], mask_form: str, weight_form: str, reduction: str) -> None:
    generator = torch.Generator().manual_seed(seed)

    def extra(form: str) -> tuple[Tensor | None, Tensor]:
        """What is given, and what it means for each element."""
        shape = list(sizes)
        if form in ("one channel", "no channel") and len(sizes) > 1:
            shape[1] = 1
        x = torch.randint(0, 3, shape, generator=generator).double() / 2
        given_form = x.squeeze(1) if form == "no channel" and len(sizes) > 1 else x
        return (given_form, x.expand(sizes)) if form else (None, torch.ones(sizes))

    pred, target = (torch.randn(sizes, generator=generator, dtype=torch.float64) for _ in range(2))
    (mask, counts), (weight_map, weights) = extra(mask_form), extra(weight_form)
    terms, share = {}, {}
    for at in itertools.product(*map(range, sizes)):
        share[at] = float(weights[at]) * (float(counts[at]) != 0)
        terms[at] = share[at] * abs(float(pred[at]) - float(target[at])) ** 3
        if not share[at]:
            pred[at] = target[at] = torch.nan
    total, below = math.fsum(terms.values()), math.fsum(share.values())
    pred.requires_grad_()
    loss = CubeLoss(reduction=reduction)(pred, target, mask=mask, weight_map=weight_map)
    (slope,) = torch.autograd.grad(loss.sum(), pred)
    if reduction == "none":
        assert loss.shape == pred.shape
        assert [loss[at].item() for at in terms] == pytest.approx(list(terms.values()), rel=1e-12)
    else:
        expected = total if reduction == "sum" or not below else total / below
        assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert all(slope[at] == 0 for at in share if not share[at])
    assert bool(slope.isfinite().all())


def test_masks_of_points_lack_the_last_dimensions() -> None:
    pred, target, seen = draw(1, 3, 5, 2), draw(2, 3, 5, 2), draw(3, 3, 5) > 0
    error = (pred - target).abs()
    for mask in (seen, seen.unsqueeze(-1), seen.unsqueeze(-1).expand(3, 5, 2)):
        loss = WingLoss(w=1e9, eps=1e9)(pred, target, mask=mask)  # so wide a wing is the absolute error
        assert loss.item() == pytest.approx(error[seen].mean().item(), rel=1e-8)
    maps, others = draw(4, 3, 5, 4, 6), draw(5, 3, 5, 4, 6)
    expected = (maps - others).square()[seen].mean()
    torch.testing.assert_close(HeatmapLoss()(maps, others, mask=seen), expected, rtol=1e-13, atol=0)
    pixels = draw(6, 3, 1, 4, 6) > 0
    expected = (maps - others).square()[pixels.expand_as(maps)].mean()
    torch.testing.assert_close(HeatmapLoss()(maps, others, mask=pixels), expected, rtol=1e-13, atol=0)


def test_a_term_may_be_a_vector() -> None:
    pred, target, seen = draw(1, 3, 5, 2), draw(2, 3, 5, 2), draw(3, 3, 5) > 0
    distance = torch.linalg.vector_norm(pred - target, dim=-1)
    torch.testing.assert_close(PointLoss()(pred, target), distance.mean(), rtol=1e-13, atol=0)
    torch.testing.assert_close(PointLoss()(pred, target, mask=seen), distance[seen].mean(), rtol=1e-13, atol=0)
    each = PointLoss(reduction="none")(pred, target, mask=seen)
    torch.testing.assert_close(each, distance * seen, rtol=1e-13, atol=0)


@pytest.mark.parametrize("loss", [L1Loss(), MSELoss(), CosineLoss(), CharbonnierLoss(), WingLoss(), AdaptiveWingLoss()])
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0), (2, 3, 4)])
def test_nothing_is_zero_with_zero_slope(loss: Any, shape: tuple[int, ...]) -> None:
    pred = torch.full(shape, torch.nan, requires_grad=True)
    value = loss(pred, torch.full(shape, torch.nan), mask=torch.zeros(shape[0], 1, shape[2]))
    (slope,) = torch.autograd.grad(value, pred)
    assert value.item() == 0
    assert not slope.any()


SHAPES: list[tuple[Any, Any, str]] = [
    (torch.zeros(2, 3), torch.zeros(2, 4), "nothing is broadcast"),
    (torch.zeros(4, 1), torch.zeros(4), "target.view_as(pred)"),
    (torch.zeros(4), torch.zeros(4, 1), "target.view_as(pred)"),
    (torch.zeros(4), torch.zeros(()), "nothing is broadcast"),
    (torch.zeros(()), torch.zeros(()), "the dimension of the samples in front"),
    (torch.zeros(4), torch.zeros(4, dtype=torch.int64), "target.float()"),
    (torch.zeros(4, dtype=torch.int32), torch.zeros(4), "pred.float()"),
    (torch.zeros(4), torch.zeros(4, dtype=torch.bool), "target.float()"),
    (torch.zeros(4, dtype=torch.complex64), torch.zeros(4), "pred.float()"),
]


@pytest.mark.parametrize(("pred", "target", "fix"), SHAPES)
def test_what_does_not_fit(pred: Tensor, target: Tensor, fix: str) -> None:
    for loss in (L1Loss(), HeatmapLoss()):
        with pytest.raises(ShapeError) as caught:
            loss(pred, target)
        text = str(caught.value)
        assert f"pred {tuple(pred.shape)} {str(pred.dtype)[6:]}, target {tuple(target.shape)}" in text
        assert "Expected floats of one shape (N, ...)" in text
        assert fix in text


def test_masks_and_weights_that_do_not_fit() -> None:
    x = torch.zeros(2, 3, 4, 5)
    for name in ("mask", "weight_map"):
        for shape in ((2, 3), (4, 5), (2, 5, 4), (2, 2, 4, 5), (1, 2, 3, 4, 5)):
            with pytest.raises(ShapeError) as caught:
                L1Loss()(x, x, **{name: torch.ones(shape)})
            assert f"{name} {shape}. Expected {name} (2, 3, 4, 5) or (2, 4, 5). Hint: size 1" in str(caught.value)
        with pytest.raises(ShapeError, match=r"Expected mask \(2, 3, 4, 5\) or \(2, 3, 4\)"):
            WingLoss()(x, x, mask=torch.ones(2, 4, 5))
    with pytest.raises(ShapeError, match="mask is a dict.*Combine has routes"):
        L1Loss()(x, x, mask={"a": x})


def test_the_dtype_of_the_loss_is_that_of_the_prediction_or_float32() -> None:
    for dtype, expected in ((torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float64, None)):
        for other in (torch.float16, torch.float32, torch.float64):
            loss = MSELoss()(torch.ones(3, dtype=dtype), torch.zeros(3, dtype=other))
            assert loss.dtype == (expected or torch.float64)
    far = MSELoss()(torch.full((2,), 3e4, dtype=torch.float16), torch.full((2,), -3e4, dtype=torch.float16))
    assert far.item() == pytest.approx(3.6e9, rel=1e-3)


def test_targets_out_of_range_are_left_out_and_counted() -> None:
    target = torch.tensor([[[0.5, 1.5, -0.1, torch.nan]]])
    loss = AdaptiveWingLoss()
    assert loss(torch.tensor([[[0.5, 9.0, 9.0, 9.0]]]), target).item() == 0
    with pytest.warns(UserWarning, match="3 targets have a label out of range"):
        assert collect({"a": loss})["a/bad_targets"] == 3
    masked = AdaptiveWingLoss()
    masked(torch.zeros(1, 1, 4), target, mask=torch.tensor([[[1, 1, 0, 0]]]))
    with pytest.warns(UserWarning, match="1 targets"):
        collect({"a": masked})


def test_check_looks_at_targets() -> None:
    x, mask = torch.zeros(1, 3), torch.tensor([[True, True, False]])
    for bad in (torch.nan, torch.inf):
        target = torch.tensor([[0.0, 0.0, bad]])
        assert not L1Loss()(x, target).isfinite()
        with pytest.raises(DltoolsError, match="target is not finite.*mask excludes it"):
            L1Loss(check=True)(x, target)
        assert L1Loss(check=True)(x, target, mask=mask).item() == 0
    with pytest.raises(DltoolsError, match="1 targets are out of range. Expected targets 0 to 1"):
        AdaptiveWingLoss(check=True)(x, torch.tensor([[0.0, 0.0, 7.0]]))


def test_a_combination_reads_once() -> None:
    pred, target, mask = draw(1, 2, 3, 4), draw(2, 2, 3, 4), draw(3, 2, 4) > 0
    both = CombineCfg(terms={"l1": L1LossCfg(), "mse": MSELossCfg()}, weights={"mse": 0.5}).build()
    expected = L1Loss()(pred, target, mask=mask) + 0.5 * MSELoss()(pred, target, mask=mask)
    torch.testing.assert_close(both(pred, target, mask=mask), expected, rtol=1e-13, atol=0)
    assert dict(collect({"a": both}))["a/l1"] == pytest.approx(L1Loss()(pred, target, mask=mask).item(), rel=1e-13)
