from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.optim import CosineRestartsScheduleCfg, CyclicScheduleCfg, OneCycleScheduleCfg
from tests.optim.schedulers.torchs import torch_values


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.9))
def test_half_a_cosine_up_and_half_a_cosine_down(
    total: int, rise: float, start: float, final: float, share: float
) -> None:
    warmup = int(share * total)
    schedule = build(OneCycleScheduleCfg(total_steps=total, rise=rise, start=start, final=final, warmup_steps=warmup))
    for step in range(warmup, total + 1):
        u = (step - warmup) / (total - warmup)
        if u < rise:
            expected = 1 - (1 - start) * math.cos(math.pi * u / rise / 2) ** 2
        elif rise == 1:
            expected = 1.0
        else:
            expected = 1 - (1 - final) * math.sin(math.pi * (u - rise) / (1 - rise) / 2) ** 2
        assert schedule(step) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_defaults_rise_for_three_tenths() -> None:
    schedule = build(OneCycleScheduleCfg(total_steps=100))
    assert [schedule(step) for step in (0, 15, 30, 65, 100)] == pytest.approx(
        [0.04, 0.52, 1.0, (1 + 4e-6) / 2, 4e-6], rel=1e-12
    )
    values = [schedule(step) for step in range(101)]
    assert values[:31] == sorted(values[:31])
    assert values[30:] == sorted(values[30:], reverse=True)


def test_it_is_torch_s_one_cycle_where_the_peak_falls_on_the_same_step() -> None:
    # torch counts to the last of its 21 steps: 20 intervals, with the peak at .3 * 21 - 1 = 5.3
    theirs = torch_values(
        lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, total_steps=21, pct_start=0.3, div_factor=25), 21
    )
    ours = build(OneCycleScheduleCfg(total_steps=20, rise=5.3 / 20))
    assert [ours(step) for step in range(21)] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("mult", [1, 2, 3])
def test_restarts_are_torch_s(mult: int) -> None:
    theirs = torch_values(lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, 5, mult, eta_min=0.1), 150)
    ours = build(CosineRestartsScheduleCfg(first_steps=5, mult=mult, final=0.1))
    assert [ours(step) for step in range(150)] == pytest.approx(theirs, rel=1e-9)


@given(st.integers(1, 50), st.floats(1, 4), st.integers(0, 20), st.integers(0, 2000))
def test_restarts_after_a_warm_up(first: int, mult: float, warmup: int, since: int) -> None:
    begin, length = 0.0, float(first)
    while begin + length <= since * (1 + 1e-9) + 1e-9:
        begin, length = begin + length, length * mult
    angle = math.pi * max(0.0, since - begin) / length / 2
    schedule = build(CosineRestartsScheduleCfg(first_steps=first, mult=mult, warmup_steps=warmup))
    assert schedule(warmup + since) == pytest.approx(math.cos(angle) ** 2, abs=1e-5)


def test_a_triangle_is_torch_s() -> None:
    theirs = torch_values(lambda opt: lr_scheduler.CyclicLR(opt, 0.2, 1.0, step_size_up=4, cycle_momentum=False), 30)
    ours = build(CyclicScheduleCfg(period_steps=8, low=0.2))
    assert [ours(step) for step in range(30)] == pytest.approx(theirs, rel=1e-9)
    late = build(CyclicScheduleCfg(period_steps=8, low=0.2, warmup_steps=10))
    assert [late(step) for step in range(10, 40)] == pytest.approx(theirs, rel=1e-9)
    assert late(5) == pytest.approx(0.1)


def test_cycles_end_with_the_run() -> None:
    for cfg in (
        CyclicScheduleCfg(period_steps=8, total_steps=20),
        CosineRestartsScheduleCfg(first_steps=8, total_steps=20),
    ):
        schedule = build(cfg)
        assert schedule(1000) == schedule(20) == schedule(12) != schedule(21 - 8)


def test_a_cycle_without_rise_or_fall() -> None:
    falling = build(OneCycleScheduleCfg(total_steps=2, rise=0.0, final=0.5))
    assert [falling(step) for step in range(3)] == pytest.approx([1.0, 0.75, 0.5], rel=1e-15)
    rising = build(OneCycleScheduleCfg(total_steps=2, rise=1.0, start=0.5))
    assert [rising(step) for step in range(4)] == pytest.approx([0.5, 0.75, 1.0, 1.0], rel=1e-15)


@pytest.mark.parametrize("fields", [{"rise": 1.1}, {"rise": -0.1}, {"start": -0.1}, {"final": -1.0}])
def test_numbers_out_of_range_are_named(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        OneCycleScheduleCfg(**fields)  # type: ignore[arg-type]
