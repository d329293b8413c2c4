"""What stands behind the values of a report, its intervals, and how ``collect`` treats its sources."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from dltools.errors import ConfigError
from dltools.meters import Mean, Reading, Report, collect
from dltools.meters.report import PER_IMAGE, Rows
from dltools.meters.sources import _to_host
from dltools.states import States, Sum

ROWS = np.stack([np.arange(200.0) % 2, np.ones(200)], 1)


def test_a_report_of_readings_keeps_all_they_say() -> None:
    report = Report.of({"a": Reading(1.0, higher=True, data={"x": np.arange(3)}), "b": Reading(2.0, higher=False)})
    assert report.higher == {"a": True, "b": False}
    assert report.data("a")["x"].tolist() == [0, 1, 2]
    assert report.data("b") == {}
    assert report.per_class("a") == {}
    assert repr(report) == "Report(a=1, b=2)"
    with pytest.raises(KeyError, match="did you mean 'a'"):
        report.data("aa")
    bare = Report({"a": 1.0})
    assert (bare.n, bare.invalid, bare.higher) == ({}, {}, {})
    assert Report({"a": 1.0}, higher={"a": True}).higher == {"a": True}


def test_an_interval_of_nothing_is_nan_by_its_method() -> None:
    nothing = {"wilson": (0, 0), "bootstrap": np.zeros((0, 2))}
    never = Rows(np.ones((4, 2)), lambda sums: np.full(len(sums), math.nan))
    report = Report(dict.fromkeys([*nothing, "never"], math.nan), resample={**nothing, "never": never})
    for name in report:
        low, high, method = report.ci(name)
        assert math.isnan(low)
        assert math.isnan(high)
        assert method == ("bootstrap" if name == "never" else name)


def test_an_interval_is_of_its_level_and_drawn_alike_by_default() -> None:
    report = Report({"iou": 0.5}, resample={"iou": ROWS})
    half = 0.6745 * math.sqrt(0.25 / 200)
    low, high, _ = report.ci("iou", 0.5, resamples=4000)
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.003)
    assert report.ci("iou") == report.ci("iou", 0.95, resamples=1000, seed=0)
    assert report.ci("iou") not in (report.ci("iou", seed=1), report.ci("iou", resamples=1001))


def test_draws_without_a_denominator_are_left_out() -> None:
    rare = np.zeros((20, 2))
    rare[0] = 1.0  # in a third of the draws it does not come
    assert Report({"iou": 1.0}, resample={"iou": rare}).ci("iou")[:2] == (1.0, 1.0)


def test_rows_say_what_their_sum_is_worth() -> None:
    rows = Rows(np.ones((50, 2, 3), dtype=np.int32), lambda sums: sums.sum((1, 2)) / 300)
    low, high, method = Report({"x": 1.0}, resample={"x": rows}).ci("x")
    assert method == "bootstrap"
    assert 0.5 < low < 1 < high < 1.5


def test_the_bounds_of_a_share_are_shares() -> None:
    report = Report({"none": 0.0, "all": 1.0}, resample={"none": (0, 10), "all": (10, 10)})
    assert report.ci("none").low == pytest.approx(0.0, abs=1e-15)
    assert report.ci("all").high == pytest.approx(1.0, abs=1e-15)
    assert report.ci("none").low >= 0.0
    assert report.ci("all").high <= 1.0
    assert report.ci("none").high == pytest.approx(1 - report.ci("all").low)
    assert report.ci("none", 0.5).high < report.ci("none").high
    for n in range(1, 300):  # rounding takes an end of some of them beyond
        ends = Report({"none": 0.0, "all": 1.0}, resample={"none": (0, n), "all": (n, n)})
        assert 0.0 <= ends.ci("none").low < ends.ci("all").high <= 1.0


def test_an_interval_without_samples_says_what_gives_some() -> None:
    with pytest.raises(ConfigError) as caught:
        Report({"pixel": 0.1}).ci("pixel")
    assert str(caught.value) == f"pixel has no independent samples to draw from. Hint: {PER_IMAGE}."


class Plain:
    """A source with nothing but states and what they say."""

    def __init__(self) -> None:
        self.states = States({"x": Sum()})
        self.states["x"] += 3

    def read(self, s: States) -> Mapping[str, Reading]:
        return {"": Reading(float(s["x"]))}


class Known(Plain):
    """One that has a name for when it stands alone, and a way of its own to start again."""

    lone_name = "known"
    starts = 0

    def reset(self) -> None:
        self.starts += 1


def test_a_source_alone_has_its_name_and_starts_again_in_its_own_way() -> None:
    plain, known = Plain(), Known()
    assert dict(collect(plain, reset=True)) == {"": 3.0}
    assert dict(collect(plain)) == {"": 0.0}
    assert dict(collect(known, reset=True)) == {"known": 3.0}
    assert known.starts == 1
    assert dict(collect({"a": known})) == {"a": 3.0}


def test_half_a_source_is_none() -> None:
    reader = type("Reader", (), {"read": Plain.read})()
    holder = type("Holder", (), {"states": States({"x": Sum()})})()
    for half in (reader, holder):
        with pytest.raises(ConfigError, match="Expected a loss, metric, meter or a mapping"):
            collect(half)


class Far(torch.Tensor):
    """On the CPU, but it says that it is not."""

    device = torch.device("cuda")  # type: ignore[assignment]


def test_tensors_of_a_device_come_to_the_host_as_they_were() -> None:
    own = [torch.arange(6).reshape(2, 3).t(), torch.tensor([0.5], dtype=torch.float64), torch.zeros(0, 4)]
    copies = _to_host([own[0].as_subclass(Far), own[1], own[2].as_subclass(Far)])
    for copy, x in zip(copies, own, strict=True):
        assert copy.dtype == x.dtype
        assert copy.shape == x.shape
        assert copy.tolist() == x.tolist()
        assert copy.untyped_storage().data_ptr() != x.untyped_storage().data_ptr() or not x.numel()


def test_what_was_collected_does_not_change_later() -> None:
    mean = Mean()
    mean.update(2.0)
    first = _to_host([mean.states.stored("sums")])[0]
    mean.update(4.0)
    assert first.sum(0).tolist() == [2.0, 1.0, 0.0]
    assert mean.value == 3.0
