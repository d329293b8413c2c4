from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.handlers import EarlyStopper, EarlyStopperCfg
from dltools.meters import Report
from dltools.metrics import TargetCfg
from tests.distributed.spawn import run_ranks

MIN, MAX = TargetCfg(mode="min"), TargetCfg(expr="acc", mode="max")


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=40),
    st.integers(1, 5),
    st.sampled_from([0.0, 2.0]),
    st.booleans(),
)
def test_the_last_of_so_many_bad_reports_stops(values: list[int], patience: int, delta: float, relative: bool) -> None:
    cfg = EarlyStopperCfg(
        target=MIN.replace(min_delta=delta / 20 if relative else delta), patience=patience, relative=relative
    )
    stopper, best, bad = build(cfg), math.inf, 0
    for value in values:
        needed = 0.0 if math.isinf(best) else delta / 20 * abs(best) if relative else delta
        is_best = math.isinf(best) or best - value > needed
        best, bad = (value, 0) if is_best else (best, bad + 1)
        decision = stopper(float(value))
        assert (decision.best, decision.stop, bool(decision)) == (is_best, bad >= patience, bad >= patience)
        assert bool(decision.reason) == decision.stop


def test_reports_say_their_direction() -> None:
    stopper = EarlyStopper(target=TargetCfg(expr="val/acc"), patience=1)
    reports = [Report({"val/acc": value}, higher={"val/acc": True}) for value in (0.5, 0.75, 0.75)]
    assert [tuple(stopper(report))[:2] for report in reports] == [(False, True), (False, True), (True, False)]
    with pytest.raises(ConfigError, match="mode='min' or mode='max'"):
        EarlyStopper()(1.0)


def test_constraints_come_first() -> None:
    target = TargetCfg(expr="acc", mode="max", subject_to=("recall >= 0.9",))
    stopper = EarlyStopper(target=target, patience=2)
    found = [stopper({"acc": acc, "recall": recall}).best for acc, recall in ((0.9, 0.5), (0.7, 0.95), (0.8, 0.6))]
    assert found == [True, True, False]


def test_a_bare_number_stands_for_any_expression() -> None:
    stopper = EarlyStopper(target=TargetCfg(expr="hmean(acc, recall)", mode="max"), patience=1)
    assert [bool(stopper(x)) for x in (0.5, 0.6, 0.6)] == [False, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number(value: float) -> None:
    stopper = EarlyStopper(target=MIN)
    stopper(1.0)
    decision = stopper(value)
    assert decision.stop
    assert f"val/loss is {value:g}" in decision.reason
    counting = EarlyStopper(target=MIN, on_nan="count", patience=2)
    assert [bool(counting(x)) for x in (1.0, value, 0.5, value, value)] == [False, False, False, False, True]


def test_divergence() -> None:
    low = EarlyStopper(target=MIN, diverge_at=5.0)
    assert [bool(low(x)) for x in (1.0, 4.9, 5.0)] == [False, False, True]
    high = EarlyStopper(target=MAX, diverge_at=0.1)
    assert high(0.2).stop is False
    assert high(0.05).reason == "0.05 is as bad as diverge_at, 0.1"


def test_updates_and_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = EarlyStopper(target=MIN, max_updates=3)
    assert [bool(counted(1.0 / n)) for n in range(1, 4)] == [False, False, True]
    told = EarlyStopper(target=MIN, max_updates=1000)
    assert [bool(told(1.0, num_updates=n)) for n in (500, 999, 1000)] == [False, False, True]
    now = 100.0
    monkeypatch.setattr("dltools.handlers.early_stop.time.monotonic", lambda: now)
    timed = EarlyStopper(target=MIN, max_seconds=60.0)
    now = 159.0
    assert not timed(1.0)
    resumed = EarlyStopper(target=MIN, max_seconds=60.0)
    resumed.load_state_dict(timed.state_dict())
    now = 160.0
    assert timed(0.9).reason == resumed(0.9).reason == "60 of at most 60 seconds"


@given(st.lists(st.floats(-5, 5), max_size=20), st.integers(0, 20))
def test_it_goes_on_from_its_state(values: list[float], cut: int) -> None:
    cfg = EarlyStopperCfg(target=MIN, patience=3)
    whole, first, second = (build(cfg) for _ in range(3))
    expected = [whole(x) for x in values]
    found = [first(x) for x in values[:cut]]
    second.load_state_dict(first.state_dict())
    assert found + [second(x) for x in values[cut:]] == expected


def decide(rank: int) -> list[Any]:
    """Rank 1 sees values that would never stop it."""
    stopper = EarlyStopper(target=MIN, patience=2)
    decisions = [stopper(1.0 if rank == 0 else 1.0 / (n + 1)) for n in range(3)]
    return [*map(tuple, decisions), stopper.state_dict()["target"]["values"]]


def test_rank_0_decides() -> None:
    first, second = run_ranks(decide, 2)
    assert [decision[:2] for decision in first[:3]] == [(False, True), (False, False), (True, False)]
    assert first == second


@pytest.mark.parametrize("on_nan", ["stop", "count"])
def test_a_name_that_no_report_has_is_named(on_nan: Literal["stop", "count"]) -> None:
    target = TargetCfg(expr="val/accc", mode="max")
    decision = build(EarlyStopperCfg(target=target, on_nan=on_nan, patience=1))({"val/acc": 1.0})
    assert decision.stop
    assert decision.reason == "no 'val/accc' in the report; did you mean 'val/acc'?"
