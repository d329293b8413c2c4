"""What a meter says beside its value: how much it has counted, what it left out, what it refuses, what it costs."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import pytest
import torch

from dltools.errors import ConfigError
from dltools.meters import Ema, Last, Mean, Meter, Meters, Range, Rate, Total, Window, collect


@pytest.mark.parametrize("meter", [Mean(), Total(), Last(), Window(4), Range()], ids=lambda meter: type(meter).__name__)
def test_an_update_counts_once_unless_it_is_told_otherwise(meter: Meter) -> None:
    for x in (1.0, torch.tensor(2.0), torch.tensor([4.0, math.nan]), math.inf):
        meter.reset()
        meter.update(x)
        report = collect({"m": meter})
        good = torch.as_tensor(x).isfinite().sum().item()
        assert set(report.n.values()) == {good if good or not isinstance(meter, Last) else 0}
        assert sum(report.invalid.values()) == torch.as_tensor(x).numel() - good
        meter.update(3.0, n=5)
        assert collect(meter).n.keys() == ({"min", "max"} if isinstance(meter, Range) else {""})
    assert "XX" not in repr(meter)
    assert repr(meter).startswith(type(meter).__name__)


def test_a_moving_average_counts_what_still_weighs() -> None:
    ema = Ema(0.5)
    for x in (1.0, math.nan, 3.0, math.inf):
        ema.update(x)
    report = collect(ema)
    assert report.n[""] == 0.5 * 0.5 + 0.5
    assert report.invalid[""] == 2
    assert report[""] == (1 * 0.25 + 3 * 0.5) / 0.75


def test_the_least_options_are_legal() -> None:
    for meter in (Ema(0.0), Window(1)):
        meter.update(1.0)
        meter.update(5.0)
        assert meter.value == 5.0
    assert (Ema().beta, Window().size) == (0.98, 100)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ema(1.0), "beta is 1.0. Expected 0 <= beta < 1."),
        (lambda: Window(0), "size is 0. Expected an integer >= 1."),
        (lambda: Mean("drop"), "nonfinite is 'drop'. Expected 'skip' or 'nan'."),  # type: ignore[arg-type]
        (lambda: Meters({"a": Mean()}).load_state_dict({}), "the state has meters []. Expected ['a']."),
        (lambda: collect(3), "the tree is a int. Expected a loss, metric, meter or a mapping."),  # type: ignore[arg-type]
    ],
)
def test_what_is_refused_is_said_with_what_is_legal(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


def test_sums_are_of_float64_whatever_comes() -> None:
    total, mean = Total(), Mean()
    total.update(torch.tensor([1e8, 1.0]))  # float32 has no 100000001
    mean.update(torch.tensor([1.0, 1.0]), n=torch.tensor([1e8, 1.0]))
    assert total.value == 100000001
    assert collect(mean).n[""] == 100000001


def test_a_rate_needs_items_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", lambda: 5.0)
    rate = Rate()
    rate.update(8)
    assert list(collect({"r": rate})) == ["r"]
    assert math.isnan(rate.value)
    monkeypatch.setattr("time.perf_counter", lambda: 7.0)
    rate.update(torch.tensor([2.0, 4.0]))
    assert collect(rate).n[""] == 3
    assert rate.value == 14 / 2


def test_what_waits_for_the_sums_is_not_saved() -> None:
    mean, fresh = Mean(), Mean()
    mean.update(torch.tensor(2.0))
    assert len(pickle.dumps(mean)) == len(pickle.dumps(fresh))
    assert mean.__getstate__().keys() == vars(mean).keys()
