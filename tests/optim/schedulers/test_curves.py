from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.optim import (
    ConstantScheduleCfg,
    CosineSchedule,
    CosineScheduleCfg,
    ExponentialScheduleCfg,
    InverseSqrtScheduleCfg,
    LinearScheduleCfg,
    MultiStepScheduleCfg,
    PolynomialScheduleCfg,
    WSDScheduleCfg,
)
from tests.optim.schedulers.torchs import torch_values

totals, shares, finals = st.integers(1, 300), st.floats(0, 1), st.floats(0, 2)


@given(totals, shares, finals)
def test_linear(total: int, share: float, final: float) -> None:
    warmup = int(share * (total - 1))
    schedule = build(LinearScheduleCfg(total_steps=total, warmup_steps=warmup, final=final))
    for step in range(warmup, total + 1):
        done, left = step - warmup, total - step
        assert schedule(step) == pytest.approx((left + final * done) / (total - warmup), rel=1e-12, abs=1e-15)


@given(totals, shares, finals)
def test_cosine(total: int, share: float, final: float) -> None:
    warmup = int(share * (total - 1))
    schedule = build(CosineScheduleCfg(total_steps=total, warmup_steps=warmup, final=final))
    for step in range(warmup, total + 1):
        half_angle = math.pi * (step - warmup) / (total - warmup) / 2  # (1 + cos 2a) / 2 = cos^2 a
        expected = math.cos(half_angle) ** 2 + final * math.sin(half_angle) ** 2
        assert schedule(step) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@given(totals, st.integers(0, 1000))
def test_constant(warmup: int, step: int) -> None:
    assert build(ConstantScheduleCfg(warmup_steps=warmup))(step) == min(1.0, step / warmup)


def test_known_values_of_cosine() -> None:
    schedule = CosineSchedule(total_steps=20, warmup_steps=5, warmup_from=0.1)
    values = [schedule(step) for step in (0, 5, 12, 20)]
    assert values == pytest.approx([0.1, 1.0, 0.552264, 0.0], abs=5e-7)
    assert schedule(12) == pytest.approx((1 + math.cos(math.pi * 7 / 15)) / 2, rel=1e-15)
    assert schedule(2.5) == pytest.approx(0.55, rel=1e-15)


def test_cosine_is_torch_s() -> None:
    theirs = torch_values(lambda opt: lr_scheduler.CosineAnnealingLR(opt, T_max=30, eta_min=0.125), 31)
    ours = build(CosineScheduleCfg(total_steps=30, final=0.125))
    assert [ours(step) for step in range(31)] == pytest.approx(theirs, rel=1e-10)


def test_polynomial_is_torch_s() -> None:
    theirs = torch_values(lambda opt: lr_scheduler.PolynomialLR(opt, total_iters=20, power=0.9), 25)
    ours = build(PolynomialScheduleCfg(total_steps=20, power=0.9))
    assert [ours(step) for step in range(25)] == pytest.approx(theirs, rel=1e-10, abs=1e-15)


@given(totals, shares, finals, st.floats(0.1, 5))
def test_polynomial(total: int, share: float, final: float, power: float) -> None:
    warmup = int(share * (total - 1))
    schedule = build(PolynomialScheduleCfg(total_steps=total, warmup_steps=warmup, final=final, power=power))
    for step in range(warmup, total + 1):
        left = ((total - step) / (total - warmup)) ** power
        assert schedule(step) == pytest.approx(left + final * (1 - left), rel=1e-9, abs=1e-12)


def test_exponential_is_torch_s() -> None:
    theirs = torch_values(lambda opt: lr_scheduler.ExponentialLR(opt, gamma=0.8), 11)
    ours = build(ExponentialScheduleCfg(total_steps=10, final=0.8**10))
    assert [ours(step) for step in range(11)] == pytest.approx(theirs, rel=1e-12)
    late = build(ExponentialScheduleCfg(total_steps=12, warmup_steps=2, final=0.8**10))
    assert [late(step) for step in range(2, 13)] == pytest.approx(theirs, rel=1e-12)


def test_multi_step_is_torch_s() -> None:
    theirs = torch_values(lambda opt: lr_scheduler.MultiStepLR(opt, milestones=[3, 7, 8], gamma=0.3), 12)
    ours = build(MultiStepScheduleCfg(milestones=(3, 7, 8), gamma=0.3))
    assert [ours(step) for step in range(12)] == pytest.approx(theirs, rel=1e-12)
    late = build(MultiStepScheduleCfg(milestones=(3, 7, 8), gamma=0.3, warmup_steps=3))
    assert [late(step) for step in (0, 1, 2, 3, 7)] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.09], rel=1e-12)


@pytest.mark.parametrize("milestones", [(), (3, 3), (4, 2), (0, 1)])
def test_milestones_rise(milestones: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="milestones"):
        MultiStepScheduleCfg(milestones=milestones)


@given(st.integers(1, 10**4), st.integers(0, 10**6))
def test_inverse_sqrt(warmup: int, step: int) -> None:
    """The schedule of the Transformer, times the root of its warm-up."""
    expected = math.sqrt(warmup) * min(step / warmup**1.5, 1 / math.sqrt(step) if step else 0.0)
    assert build(InverseSqrtScheduleCfg(warmup_steps=warmup))(step) == pytest.approx(expected, rel=1e-12)


def test_inverse_sqrt_needs_a_warm_up() -> None:
    with pytest.raises(ConfigError, match="warmup_steps"):
        InverseSqrtScheduleCfg(warmup_steps=0)


@given(totals, st.floats(0, 1), st.floats(0, 1), finals, st.sampled_from(["linear", "sqrt", "cosine"]))
def test_wsd(total: int, first: float, second: float, final: float, shape: Any) -> None:
    decay = max(1, int(total * first))
    warmup = int((total - decay) * second)
    schedule = build(
        WSDScheduleCfg(total_steps=total, warmup_steps=warmup, decay_steps=decay, shape=shape, final=final)
    )  # type: ignore[arg-type]
    for step in range(warmup, total + 5):
        done = min(max(step - (total - decay), 0), decay) / decay
        fall = {"linear": done, "sqrt": done**0.5, "cosine": math.sin(math.pi * done / 2) ** 2}[shape]
        assert schedule(step) == pytest.approx(1 - fall + final * fall, rel=1e-9, abs=1e-12)


def test_wsd_fits_into_the_run() -> None:
    cfg = WSDScheduleCfg(decay_steps=5, warmup_steps=3)
    assert build(cfg, 8)(3) == 1.0
    with pytest.raises(ConfigError, match=r"warmup_steps is 3, decay_steps 5, total_steps 7.*<= total_steps"):
        build(cfg, 7)
    with pytest.raises(ConfigError, match="does not know its total_steps"):
        build(cfg)


@pytest.mark.parametrize("final", [-0.1, math.nan])
@pytest.mark.parametrize("cfg", [LinearScheduleCfg, CosineScheduleCfg, PolynomialScheduleCfg, ExponentialScheduleCfg])
def test_an_end_below_zero_is_refused(cfg: type[LinearScheduleCfg], final: float) -> None:
    with pytest.raises(ConfigError, match="final"):
        cfg(final=final)
