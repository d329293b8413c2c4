from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.errors import ConfigError
from dltools.meters import (
    AverageMeter,
    Ema,
    Last,
    Mean,
    Meter,
    Meters,
    Range,
    Rate,
    Reading,
    Report,
    Total,
    Window,
    collect,
)
from tests.hostreads import count_host_reads

pairs = st.lists(
    st.tuples(st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf]), st.integers(0, 5)), max_size=150
)


@given(pairs, st.booleans())
def test_mean_and_total_are_weighted_and_skip_what_is_not_finite(items: list[tuple[float, int]], tensors: bool) -> None:
    mean, total = Mean(), Total()
    for x, n in items:
        for meter in (mean, total):
            meter.update(torch.tensor(x, dtype=torch.float64) if tensors else x, n)
    good = [(x, n) for x, n in items if math.isfinite(x)]
    weight = sum(n for _, n in good)
    exact = math.fsum(x * n for x, n in good)
    report = collect({"mean": mean, "total": total})
    assert report["total"] == pytest.approx(exact, rel=1e-12, abs=1e-6)
    assert report.n["mean"] == weight
    assert report.invalid.get("mean", 0) == len(items) - len(good)
    assert (
        (report["mean"] == pytest.approx(exact / weight, rel=1e-12, abs=1e-6)) if weight else math.isnan(report["mean"])
    )


def test_known_numbers() -> None:
    mean, total = Mean(), Total()
    mean.update(1.0, 2**24)
    mean.update(0.0, 2**14)
    assert mean.value == pytest.approx(0.9990243902, abs=1e-10)
    total.update(1.0, 2**24)
    for _ in range(10):
        total.update(torch.tensor(1.0))
    assert total.value == 16777226
    assert AverageMeter is Mean


def test_a_mean_of_millions_is_exact() -> None:
    mean = Mean()
    mean.update(torch.ones(2**12), n=2**12)
    mean.update(torch.zeros(2**7), n=2**7)
    assert mean.value == 2**24 / (2**24 + 2**14)


def test_small_terms_are_not_lost_beside_large_ones() -> None:
    total = Total()
    for x in (1e16, *[1.0] * 100, -1e16):
        total.update(torch.tensor(x, dtype=torch.float64))
        _ = total.states
    assert total.value == 100.0


def test_a_value_that_is_no_number_can_spoil_the_mean() -> None:
    mean, total = Mean("nan"), Total(nonfinite="nan")
    for x in (1.0, math.inf, 2.0):
        mean.update(x)
        total.update(torch.tensor(x))
    report = collect({"mean": mean, "total": total})
    assert all(math.isnan(value) for value in report.values())
    assert report.invalid == {"mean": 1, "total": 1}
    mean.reset()
    mean.update(3.0)
    assert mean.value == 3.0
    with pytest.raises(ConfigError, match="'skip' or 'nan'"):
        Mean("ignore")  # type: ignore[arg-type]


def test_nothing_seen_is_nan() -> None:
    for meter in [*every_meter(), Rate()]:
        for x, n in ((math.nan, 1), (5.0, 0), (torch.zeros(0), 1)):
            meter.update(x, n=n)
        report = collect({"m": meter})
        values = [0.0] if isinstance(meter, Total) else [math.nan] * len(report)
        assert list(report.values()) == pytest.approx(values, nan_ok=True)
        assert set(report.n.values()) == {0}


def test_a_value_that_comes_0_times_changes_nothing() -> None:
    for meter in every_meter():
        meter.update(2.0)
        if not isinstance(meter, Window):  # an update is a step of the window, whatever it holds
            meter.update(torch.tensor(50.0), n=0)
        assert set(collect({"m": meter}).values()) == {2.0}


def test_elements_of_a_tensor_count_each() -> None:
    mean = Mean()
    mean.update(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), n=2)
    assert collect(mean).n[""] == 8
    assert mean.value == 3.0


def series() -> list[float]:
    return [3.0, -1.0, math.nan, 4.0, 1.5]


def test_recent_values_against_their_definitions() -> None:
    ema, last, window, span = Ema(0.8), Last(), Window(2), Range()
    for x in series():
        for meter in (ema, last, window, span):
            meter.update(torch.tensor(x))
    good = [x for x in series() if math.isfinite(x)]
    weights = 0.8 ** np.arange(len(good))[::-1]
    assert ema.value == pytest.approx(float((weights * good).sum() / weights.sum()))
    assert last.value == 1.5
    assert window.value == (4.0 + 1.5) / 2
    report = collect({"span": span, "window": window})
    assert (report["span/min"], report["span/max"], report.invalid["span/min"]) == (-1.0, 4.0, 1)
    assert math.isnan(collect({"r": Range()})["r/min"])


def test_a_window_keeps_its_size() -> None:
    window = Window(3)
    for x in range(10):
        window.update(float(x), n=x)
    assert window.value == pytest.approx((49 + 64 + 81) / 24)


def test_rate_is_items_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 14.0, 20.0, 21.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    rate = Rate()
    rate.update(8)
    rate.update(8)
    assert rate.value == 4.0
    rate.reset()
    rate.update(torch.tensor(3))
    assert rate.value == 3.0


def test_a_rate_goes_on_without_the_time_between(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    rate = Rate()
    now[0] = 104.0
    rate.update(8)
    now[0] = 500.0
    again = Rate()
    again.load_state_dict(rate.state_dict())
    now[0] = 504.0
    again.update(torch.tensor([4.0, 4.0]))
    assert again.value == 2.0


def every_meter() -> list[Meter]:
    return [Mean(), Total(), Last(), Ema(), Window(4), Range()]


@pytest.mark.parametrize("make", range(6))
def test_state_resumes_copies_and_resets(make: int) -> None:
    meter, whole = every_meter()[make], every_meter()[make]
    for x in series()[:3]:
        meter.update(torch.tensor(x))
        whole.update(torch.tensor(x))
    fresh = every_meter()[make]
    fresh.load_state_dict(meter.state_dict())
    for again in (fresh, copy.deepcopy(meter), pickle.loads(pickle.dumps(meter))):
        for x in series()[3:]:
            again.update(x)
    for x in series()[3:]:
        whole.update(x)
    assert fresh.value == whole.value
    fresh.reset()
    assert not collect({"m": fresh}).n.get("m", 0)


@pytest.mark.parametrize("make", range(6))
def test_updates_do_not_read_the_device(make: int) -> None:
    meter = every_meter()[make]
    x, n = torch.tensor(1.0, requires_grad=True), torch.tensor(3)
    with count_host_reads() as reads:
        for _ in range(130):
            meter.update(x * 2, n)
            meter.update(x, 2)
    assert reads.count == 0
    assert all(not t.requires_grad for t in meter.state_dict().values())


@pytest.mark.parametrize("make", range(6))
def test_updates_compile_to_one_graph(make: int) -> None:
    meter, eager = every_meter()[make], every_meter()[make]

    @torch.compile(fullgraph=True, backend="aot_eager")
    def step(x: Any) -> Any:
        meter.update(x * 2, 3)
        return x + 1

    for x in (1.0, 2.0, 5.0):
        step(torch.tensor(x))
        eager.update(torch.tensor(2 * x), 3)
    assert meter.value == eager.value


def test_a_value_is_what_it_was_at_the_call() -> None:
    a, mean = torch.tensor(1.0), Mean()
    for _ in range(5):
        mean.update(a)
        a += 1
    assert mean.value == 3.0


def test_collect_names_by_path_and_reads_shared_states_once() -> None:
    mean = Mean()
    mean.update(2.0)
    meters = Meters({"a": mean, "b": Total()})
    report = collect({"train": meters, "val": {"loss": mean}}, reset=True)
    assert dict(report) == {"train/a": 2.0, "train/b": 0.0, "val/loss": 2.0}
    assert math.isnan(mean.value)
    meters.update(a=4.0)
    again = Meters({"a": Mean(), "b": Total()})
    again.load_state_dict(meters.state_dict())
    assert collect(again)["a"] == 4.0
    with pytest.raises(ConfigError, match="train/x is a int"):
        collect({"train": {"x": 3}})
    with pytest.raises(ConfigError, match="state has meters"):
        again.load_state_dict({})


def test_report_knows_what_stands_behind_a_value() -> None:
    rows = np.stack([np.arange(200.0) % 2, np.ones(200)], 1)
    report = Report.of(
        {
            "acc": Reading(0.8, n=10, higher=True, resample=(8, 10), per_class={"cat": 0.5}),
            "iou": Reading(0.5, resample=rows, bounds=(0.4, 0.6), data={"x": np.arange(3)}),
            "pixel": Reading(0.1),
        }
    )
    assert dict(report) == {"acc": 0.8, "iou": 0.5, "pixel": 0.1}
    assert report.per_class("acc") == {"cat": 0.5}
    assert report.bounds("iou") == (0.4, 0.6)
    assert report.bounds("acc") == (0.8, 0.8)
    low, high, method = report.ci("acc")
    assert (round(low, 10), round(high, 10), method) == (0.4901624715, 0.9433178485, "wilson")
    low, high, method = report.ci("iou")
    spread = 1.96 * math.sqrt(0.25 / 200)
    assert method == "bootstrap"
    assert low == pytest.approx(0.5 - spread, abs=0.01)
    assert high == pytest.approx(0.5 + spread, abs=0.01)
    assert report.ci("iou", seed=0) == report.ci("iou", seed=0)
    assert report.ci("iou") == Report({"iou": 0.5}, resample={"iou": np.random.default_rng(1).permutation(rows)}).ci(
        "iou"
    )
    with pytest.raises(ConfigError, match="no independent samples"):
        report.ci("pixel")
    with pytest.raises(KeyError, match="did you mean 'acc'"):
        report["ac"]


def test_bad_options_are_refused() -> None:
    for make in (lambda: Ema(1.0), lambda: Ema(-0.1), lambda: Window(0)):
        with pytest.raises(ConfigError):
            make()
