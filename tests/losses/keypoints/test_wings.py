"""Wing losses and heatmaps against the formulas of their papers, written out for single numbers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.errors import ConfigError
from dltools.losses import AdaptiveWingLoss, AdaptiveWingLossCfg, HeatmapLoss, WingLoss, WingLossCfg


def wing(error: float, w: float, eps: float) -> float:
    x = abs(error)
    return w * math.log(1 + x / eps) if x < w else x - (w - w * math.log(1 + w / eps))


def adaptive_wing(pred: float, y: float, alpha: float, omega: float, eps: float, theta: float) -> float:
    """As in section 4.3 of the paper, with its A and C."""
    x, power = abs(y - pred), alpha - y
    a = omega * (1 / (1 + (theta / eps) ** power)) * power * (theta / eps) ** (power - 1) / eps
    c = theta * a - omega * math.log(1 + (theta / eps) ** power)
    return omega * math.log(1 + (x / eps) ** power) if x < theta else a * x - c


@given(st.floats(-50, 50), st.floats(0.1, 30), st.floats(0.1, 30))
def test_wing_loss(error: float, w: float, eps: float) -> None:
    pred = torch.tensor([error], dtype=torch.float64)
    found = WingLoss(w=w, eps=eps)(pred, torch.zeros(1, dtype=torch.float64))
    assert found.item() == pytest.approx(wing(error, w, eps), rel=1e-10, abs=1e-12)


def test_wing_loss_where_the_line_begins() -> None:
    expected = 10 * math.log(6)
    for at in (10.0, -10.0, math.nextafter(10.0, 0)):
        loss = WingLoss()(torch.tensor([[[at, at]]], dtype=torch.float64), torch.zeros(1, 1, 2))
        assert loss.item() == pytest.approx(expected, rel=1e-14)
    assert expected == pytest.approx(17.9175947, abs=1e-7)


@given(st.floats(-3, 4), st.floats(0, 1), st.sampled_from([(2.1, 14.0, 1.0, 0.5), (2.5, 3.0, 0.2, 0.7)]))
def test_adaptive_wing_loss(pred: float, y: float, how: tuple[float, float, float, float]) -> None:
    loss = AdaptiveWingLoss(alpha=how[0], omega=how[1], eps=how[2], theta=how[3])
    found = loss(torch.tensor([pred], dtype=torch.float64), torch.tensor([y], dtype=torch.float64))
    assert found.item() == pytest.approx(adaptive_wing(pred, y, *how), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_adaptive_wing_loss_is_smooth_where_the_line_begins(y: float) -> None:
    target = torch.full((2,), y, dtype=torch.float64)
    pred = (target + torch.tensor([0.5 - 1e-9, 0.5 + 1e-9], dtype=torch.float64)).requires_grad_()
    loss = AdaptiveWingLoss(reduction="none")(pred, target)
    (slope,) = torch.autograd.grad(loss.sum(), pred)
    assert loss[0].item() == pytest.approx(loss[1].item(), rel=1e-7)
    assert slope[0].item() == pytest.approx(slope[1].item(), rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_adaptive_wing_loss_has_finite_slopes_of_all_orders_it_needs(dtype: torch.dtype) -> None:
    pred = torch.tensor([0.0, 0.5, 1.0, 1e4, -1e4, 0.5], dtype=dtype, requires_grad=True)
    target = torch.tensor([0.0, 0.5, 1.0, 1.0, 0.0, 0.0], dtype=dtype, requires_grad=True)
    loss = AdaptiveWingLoss()(pred, target)
    slopes = torch.autograd.grad(loss, (pred, target), create_graph=True)
    curves = torch.autograd.grad(sum(slope.sum() for slope in slopes), (pred, target))
    assert loss.dtype == torch.float32
    assert all(bool(x.isfinite().all()) for x in (loss, *slopes, *curves))
    assert slopes[0][:3].tolist() == [0, 0, 0]


def test_adaptive_wing_loss_in_half_precision_is_that_of_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    pred, target = (torch.rand(2, 3, 8, 8, generator=generator).half() for _ in range(2))
    exact = AdaptiveWingLoss()(pred.double(), target.double())
    assert AdaptiveWingLoss()(pred, target).item() == pytest.approx(exact.item(), rel=1e-6)


def test_heatmap_loss_is_a_loop_over_visible_points() -> None:
    generator = torch.Generator().manual_seed(1)
    pred, target = (torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    visible = torch.tensor([[1, 0, 1], [0, 0, 1]])
    terms = [
        (float(pred[n, k, i, j]) - float(target[n, k, i, j])) ** 2
        for n, k, i, j in itertools.product(range(2), range(3), range(4), range(5))
        if visible[n, k]
    ]
    assert HeatmapLoss()(pred, target, mask=visible).item() == pytest.approx(math.fsum(terms) / len(terms), rel=1e-13)
    weights = torch.tensor([[1.0, 0.0, 3.0], [0.0, 0.0, 0.5]])
    share = math.fsum(
        float(weights[n, k]) * float((pred[n, k] - target[n, k]).square().mean()) for n in range(2) for k in range(3)
    )
    assert HeatmapLoss()(pred, target, weight_map=weights).item() == pytest.approx(share / 4.5, rel=1e-12)


@pytest.mark.parametrize(
    ("cfg", "fields"),
    [
        (WingLossCfg, {"w": 0.0}),
        (WingLossCfg, {"eps": -1.0}),
        (AdaptiveWingLossCfg, {"alpha": 2.0}),
        (AdaptiveWingLossCfg, {"theta": 0.0}),
    ],
)
def test_numbers_that_make_no_wing(cfg: Any, fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        cfg(**fields)
