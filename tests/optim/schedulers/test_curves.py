from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.optim import ConstantScheduleCfg, CosineSchedule, CosineScheduleCfg, LinearScheduleCfg

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
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=0.125)
    ours = build(CosineScheduleCfg(total_steps=30, final=0.125))
    for step in range(30):
        assert ours(step) == pytest.approx(torchs.get_last_lr()[0], rel=1e-10)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it would rather have updates in between
            torchs.step()


@pytest.mark.parametrize("final", [-0.1, math.nan])
@pytest.mark.parametrize("cfg", [LinearScheduleCfg, CosineScheduleCfg])
def test_an_end_below_zero_is_refused(cfg: type[LinearScheduleCfg], final: float) -> None:
    with pytest.raises(ConfigError, match="final"):
        cfg(final=final)
