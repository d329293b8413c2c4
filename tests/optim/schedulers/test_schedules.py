"""What every schedule does: warm-up, the end that holds, where the length comes from, what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltools.cfgutils import build, dump, load
from dltools.errors import ConfigError
from dltools.optim import (
    ConstantScheduleCfg,
    CosineScheduleCfg,
    ExponentialScheduleCfg,
    LinearScheduleCfg,
    OneCycleScheduleCfg,
    PolynomialScheduleCfg,
    Schedule,
    ScheduleCfg,
)

ALL: list[Any] = [
    ConstantScheduleCfg,
    LinearScheduleCfg,
    CosineScheduleCfg,
    OneCycleScheduleCfg,
    PolynomialScheduleCfg,
    ExponentialScheduleCfg,
]
BEGIN = dict.fromkeys([cfg.tag for cfg in ALL], 1.0) | {"OneCycleSchedule": 0.04}
END = dict.fromkeys(BEGIN, 0.0) | {"ConstantSchedule": 1.0, "OneCycleSchedule": 4e-6, "ExponentialSchedule": 0.01}
each = pytest.mark.parametrize("cfg", ALL, ids=lambda cfg: cfg.tag)
steps = st.integers(1, 400)


class StairsScheduleCfg(ScheduleCfg["StairsSchedule"]):
    """A schedule of one's own."""

    height: float = 0.5


class StairsSchedule(Schedule[StairsScheduleCfg]):
    """Falls by a power of ``height`` in each quarter."""

    def at(self, step: float) -> float:
        return self.cfg.height ** int(4 * self.progress(step))


@each
@given(total=steps, share=st.floats(0, 1), start=st.floats(0, 2))
def test_warm_up_is_a_line_to_where_the_body_starts(cfg: Any, total: int, share: float, start: float) -> None:
    warmup = int(share * total)
    schedule = build(cfg(total_steps=total, warmup_steps=warmup, warmup_from=start))
    for step in range(warmup):
        line = start + (BEGIN[cfg.tag] - start) * step / warmup
        assert schedule(step) == pytest.approx(line, rel=1e-12, abs=1e-15)
    assert schedule(warmup) == pytest.approx(BEGIN[cfg.tag], rel=1e-12)


@each
@given(total=steps, beyond=st.integers(0, 1000) | st.just(math.inf))
def test_the_last_value_holds(cfg: Any, total: int, beyond: float) -> None:
    schedule = build(cfg(total_steps=total, warmup_steps=total // 2))
    assert schedule(total) == pytest.approx(END[cfg.tag], abs=1e-15)
    assert schedule(total + beyond) == schedule(total)


@each
@given(total=steps, warmup=steps)
def test_the_length_of_the_run_stands_in_for_one_s_own(cfg: Any, total: int, warmup: int) -> None:
    warmup = min(total, warmup)
    given_late = build(cfg(warmup_steps=warmup), total)
    given_early = build(cfg(warmup_steps=warmup, total_steps=total))
    assert [given_late(s) for s in range(total + 2)] == [given_early(s) for s in range(total + 2)]
    own = build(cfg(warmup_steps=warmup, total_steps=total), total + 7)
    assert own.cfg.total_steps == total


@each
@pytest.mark.parametrize("step", [-1, -1e-9, math.nan, -math.inf])
def test_a_step_before_the_start_is_refused(cfg: Any, step: float) -> None:
    with pytest.raises(ConfigError, match=r"step is .*number >= 0"):
        build(cfg(total_steps=5, warmup_steps=2))(step)


@each
def test_a_warm_up_longer_than_the_run_is_refused(cfg: Any) -> None:
    with pytest.raises(ConfigError, match="warmup_steps is 6, total_steps 5"):
        cfg(total_steps=5, warmup_steps=6)
    with pytest.raises(ConfigError, match="warmup_steps is 6, total_steps 5"):
        build(cfg(warmup_steps=6), 5)
    assert build(cfg(total_steps=6, warmup_steps=6, warmup_from=0.5))(3) == pytest.approx((0.5 + BEGIN[cfg.tag]) / 2)


@each
@pytest.mark.parametrize(
    "fields", [{"total_steps": 0}, {"warmup_steps": -1}, {"warmup_from": -0.1}, {"total_steps": 1.5}]
)
def test_numbers_out_of_range_are_named(cfg: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        cfg(**fields)


@pytest.mark.parametrize("cfg", ALL[1:], ids=lambda cfg: cfg.tag)
def test_a_length_that_nobody_knows_is_said(cfg: Any) -> None:
    with pytest.raises(ConfigError, match=f"{cfg.tag} does not know its total_steps.*total_updates"):
        build(cfg())


def test_a_constant_needs_no_length() -> None:
    schedule = build(ConstantScheduleCfg(warmup_steps=4))
    assert [schedule(step) for step in (0, 1, 2, 3, 4, 10**9)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_schedule_of_ones_own_has_all_this_too() -> None:
    cfg = StairsScheduleCfg(warmup_steps=2)
    schedule = build(cfg, 10)
    assert [schedule(step) for step in range(12)] == [0, 0.5, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625]
    assert load(ScheduleCfg, dump(cfg)) == cfg
