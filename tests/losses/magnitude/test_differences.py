"""Losses of differences against torch, scikit-learn and closed forms, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss
from torch import Tensor
from torch.autograd import gradgradcheck

from dltools import losses
from dltools.errors import ConfigError, ShapeError
from dltools.losses import (
    CharbonnierLoss,
    CharbonnierLossCfg,
    CosineLoss,
    HuberLoss,
    HuberLossCfg,
    L1Loss,
    LogCoshLoss,
    MSELoss,
    QuantileLoss,
    QuantileLossCfg,
    SmoothL1Loss,
    SmoothL1LossCfg,
)

EXACT: dict[str, Any] = {"rtol": 1e-13, "atol": 1e-15}


def pair(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pred, target = (2 * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return pred.requires_grad_(), target


def test_other_names_are_the_same_classes() -> None:
    names = {"L1Loss": "L1 MAE MAELoss", "MSELoss": "MSE L2Loss", "HuberLoss": "Huber"}
    for name, others in names.items():
        for other in others.split():
            assert getattr(losses, other) is getattr(losses, name)
            assert getattr(losses, f"{other}Cfg") is getattr(losses, f"{name}Cfg")


TORCH: list[tuple[Any, Any]] = [
    (L1Loss(), F.l1_loss),
    (MSELoss(), F.mse_loss),
    (HuberLoss(), F.huber_loss),
    (HuberLoss(delta=0.3), lambda x, y, reduction: F.huber_loss(x, y, delta=0.3, reduction=reduction)),
    (SmoothL1Loss(), F.smooth_l1_loss),
    (SmoothL1Loss(beta=2.5), lambda x, y, reduction: F.smooth_l1_loss(x, y, beta=2.5, reduction=reduction)),
    (SmoothL1Loss(beta=0.0), F.l1_loss),
]


@pytest.mark.parametrize(("loss", "theirs"), TORCH)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_torch(loss: Any, theirs: Any, reduction: Any) -> None:
    for shape in ((7,), (3, 4), (2, 3, 4, 5)):
        pred, target = pair(1, *shape)
        one = type(loss)(loss.cfg.replace(reduction=reduction))(pred, target)
        two = theirs(pred, target, reduction=reduction)
        torch.testing.assert_close(one, two, **EXACT)
        slopes = (torch.autograd.grad(x.sum(), pred)[0] for x in (one, two))
        torch.testing.assert_close(*slopes, **EXACT)


def test_log_cosh_is_that_of_numpy_where_numpy_is_exact() -> None:
    error = torch.linspace(-20, 20, 801, dtype=torch.float64)
    error = error[error.abs() > 0.5]
    found = LogCoshLoss(reduction="none")(error, torch.zeros_like(error))
    np.testing.assert_allclose(found, np.log(np.cosh(error.numpy())), rtol=1e-13)


@given(st.floats(-1e-2, 1e-2).filter(lambda e: abs(e) > 1e-18), st.sampled_from([torch.float32, torch.float64]))
def test_log_cosh_of_tiny_errors_is_its_series(error: float, dtype: torch.dtype) -> None:
    pred = torch.tensor([error], dtype=dtype, requires_grad=True)
    loss = LogCoshLoss()(pred, torch.zeros(1, dtype=dtype))
    (slope,) = torch.autograd.grad(loss, pred)
    e = pred.item()
    close = 4 * torch.finfo(dtype).eps
    assert loss.item() == pytest.approx(e * e / 2 - e**4 / 12 + e**6 / 45, rel=close)
    assert slope.item() == pytest.approx(math.tanh(e), rel=close)


def test_log_cosh_of_large_errors_is_a_line() -> None:
    pred = torch.tensor([1e4, -1e4, 1e30], requires_grad=True)
    loss = LogCoshLoss(reduction="none")(pred, torch.zeros(3))
    assert loss.tolist() == pytest.approx([1e4 - math.log(2), 1e4 - math.log(2), 1e30], rel=1e-7)
    assert torch.autograd.grad(loss.sum(), pred)[0].tolist() == [1, -1, 1]


def test_log_cosh_has_the_curvature_1_at_0() -> None:
    pred = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(LogCoshLoss()(pred, torch.zeros(1)), pred, create_graph=True)
    assert torch.autograd.grad(slope, pred)[0].item() == 1
    assert gradgradcheck(lambda x: LogCoshLoss()(x, torch.zeros(5)), pair(3, 5)[0])


@pytest.mark.parametrize("eps", [1e-3, 0.5])
def test_charbonnier(eps: float) -> None:
    pred, target = pair(4, 3, 5)
    expected = np.sqrt((pred.detach().numpy() - target.numpy()) ** 2 + eps**2)
    np.testing.assert_allclose(CharbonnierLoss(eps=eps, reduction="none")(pred, target).detach(), expected, rtol=1e-14)
    assert CharbonnierLoss(eps=eps)(target, target).item() == pytest.approx(eps, rel=1e-15)
    huge = torch.tensor([1e30], requires_grad=True)
    assert torch.autograd.grad(CharbonnierLoss()(huge, torch.zeros(1)), huge)[0].item() == 1


@pytest.mark.parametrize("q", [0.0, 0.1, 0.5, 0.95, 1.0])
def test_quantile_loss_is_that_of_scikit_learn(q: float) -> None:
    pred, target = pair(5, 40)
    weight_map = torch.rand(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = mean_pinball_loss(target.numpy(), pred.detach().numpy(), alpha=q, sample_weight=weight_map.numpy())
    assert QuantileLoss(q=q)(pred, target, weight_map=weight_map).item() == pytest.approx(expected, rel=1e-13)


def test_the_best_constant_is_the_quantile() -> None:
    target = torch.arange(11, dtype=torch.float64)
    loss = [QuantileLoss(q=0.75)(torch.full((11,), float(x), dtype=torch.float64), target).item() for x in range(11)]
    assert int(np.argmin(loss)) == 8  # of 0 to 10, three quarters of the way, at a number that is there


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_cosine_loss_is_that_of_torch(shape: tuple[int, ...]) -> None:
    pred, target = pair(6, *shape)
    expected = 1 - F.cosine_similarity(pred, target, dim=1)
    found = CosineLoss(reduction="none")(pred, target)
    torch.testing.assert_close(found, expected, **EXACT)
    assert found.shape == (shape[0], *shape[2:])
    torch.testing.assert_close(CosineLoss()(pred, target), expected.mean(), **EXACT)
    mask = torch.rand(expected.shape, generator=torch.Generator().manual_seed(2)) > 0.3
    for given_mask in (mask, mask.unsqueeze(1)):
        torch.testing.assert_close(CosineLoss()(pred, target, mask=given_mask), expected[mask].mean(), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_cosine_loss_of_vectors_without_length(dtype: torch.dtype) -> None:
    tiny = [0.0, float(torch.finfo(dtype).tiny), float(torch.finfo(dtype).smallest_normal) / 4]
    pred = torch.tensor([[x, 0.0] for x in tiny], dtype=dtype, requires_grad=True)
    loss = CosineLoss(reduction="none")(pred, torch.ones(3, 2))
    assert loss[0].item() == 1
    assert bool(torch.autograd.grad(loss.sum(), pred)[0].isfinite().all())


def test_cosine_loss_needs_vectors() -> None:
    with pytest.raises(ShapeError, match=r"pred \(4\,\) float32.*the dimension of the samples in front"):
        CosineLoss()(torch.ones(4), torch.ones(4))
    with pytest.raises(ShapeError, match=r"mask \(2, 3, 4\). Expected mask \(2, 1, 4\) or \(2, 4\)"):
        CosineLoss()(torch.ones(2, 3, 4), torch.ones(2, 3, 4), mask=torch.ones(2, 3, 4))


@pytest.mark.parametrize(
    ("cfg", "fields"),
    [
        (HuberLossCfg, {"delta": 0.0}),
        (SmoothL1LossCfg, {"beta": -1.0}),
        (CharbonnierLossCfg, {"eps": 0.0}),
        (QuantileLossCfg, {"q": 1.5}),
    ],
)
def test_numbers_that_make_no_loss(cfg: Any, fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        cfg(**fields)
