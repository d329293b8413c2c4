from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.optim import OneCycleScheduleCfg


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
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    # torch counts to the last of its 21 steps: 20 intervals, with the peak at .3 * 21 - 1 = 5.3
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=21, pct_start=0.3, div_factor=25)
    ours = build(OneCycleScheduleCfg(total_steps=20, rise=5.3 / 20))
    for step in range(21):
        assert ours(step) == pytest.approx(torchs.get_last_lr()[0], rel=1e-9)
        if step < 20:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it would rather have updates in between
                torchs.step()


def test_a_cycle_without_rise_or_fall() -> None:
    falling = build(OneCycleScheduleCfg(total_steps=2, rise=0.0, final=0.5))
    assert [falling(step) for step in range(3)] == pytest.approx([1.0, 0.75, 0.5], rel=1e-15)
    rising = build(OneCycleScheduleCfg(total_steps=2, rise=1.0, start=0.5))
    assert [rising(step) for step in range(4)] == pytest.approx([0.5, 0.75, 1.0, 1.0], rel=1e-15)


@pytest.mark.parametrize("fields", [{"rise": 1.1}, {"rise": -0.1}, {"start": -0.1}, {"final": -1.0}])
def test_numbers_out_of_range_are_named(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        OneCycleScheduleCfg(**fields)  # type: ignore[arg-type]
