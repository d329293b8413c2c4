"""What the base makes of a metric's own words: readings, directions, warnings, names, keys, what is handed on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dltools.errors import ConfigError
from dltools.meters import Reading
from dltools.metrics import F1, Accuracy, AccuracyCfg, IoU, Metric, MetricCfg, Metrics, base, collection
from dltools.metrics.base import snake
from dltools.metrics.joining import SMALL, may_wait
from dltools.states import State, States, Sum


class OddCfg(MetricCfg["Said"]):
    scale: float = 1.0
    shift: float = 0.0


class Said(Metric[OddCfg]):
    """Counts samples and says what a test gives it to say; its config is not called after it."""

    higher = True
    words: Any = 0.0

    def layout(self) -> Mapping[str, State]:
        return {"n": Sum()}

    def count(self, s: States, pred: Tensor, *, extra: Tensor | None = None, valid: Tensor) -> None:
        s["n"] += valid.sum() if extra is None else (valid & extra).sum()

    def value(self, s: States) -> Any:
        return self.words

    def num(self) -> int:
        return int(self.states["n"])


def saying(words: Any) -> Said:
    said = Said()
    said.words = words
    return said


def test_a_number_is_a_reading_of_the_metric_s_direction() -> None:
    report = saying(0.5).compute()
    assert dict(report) == {"said": 0.5}
    assert report.higher == {"said": True}
    assert math.isnan(report.n["said"])


def test_a_reading_may_have_a_direction_of_its_own() -> None:
    words = {"": Reading(1.0, n=4), "worse": Reading(2.0, higher=False), "plain": 3.0}
    report = saying(words).compute()
    assert dict(report) == {"said": 1.0, "said/worse": 2.0, "said/plain": 3.0}
    assert report.higher == {"said": True, "said/worse": False, "said/plain": True}
    assert report.n["said"] == 4
    assert dict(saying({}).compute()) == {}


def test_what_cannot_be_counted_makes_all_of_a_value_nan_and_is_told_once() -> None:
    wrong = Reading(0.5, n=3, invalid=2, per_class={"a": 1.0}, bounds=(0.4, 0.6), resample=np.ones((3, 2)))
    with pytest.warns(UserWarning, match="cannot be counted") as caught:
        report = saying(wrong).compute()
    assert [str(one.message) for one in caught] == ["Said: 2 elements cannot be counted, so its value is NaN."]
    assert caught[0].category is UserWarning
    assert math.isnan(report["said"])
    assert math.isnan(report.per_class("said")["a"])
    assert all(math.isnan(end) for end in report.bounds("said"))
    assert (report.invalid, report.n, report.higher) == ({"said": 2}, {"said": 3}, {"said": True})
    with pytest.raises(ConfigError):
        report.ci("said")
    shared = Metrics({"acc": Accuracy(num_classes=3), "f1": F1(num_classes=3)})
    shared.update(torch.eye(3), torch.tensor([0, 1, 7]))
    with pytest.warns(UserWarning, match="cannot be counted") as caught:
        shared.compute()
    assert [str(one.message).split(":")[0] for one in caught] == ["Accuracy"]


def test_what_is_not_invalid_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saying({"a": Reading(1.0), "b": 2.0}).compute()


@pytest.mark.parametrize("metric", [Accuracy(num_classes=3), Metrics({"acc": AccuracyCfg(num_classes=3)})])
def test_compute_is_collect_with_what_it_was_given(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Any, dict[str, Any]]] = []
    for module in (base, collection):
        monkeypatch.setattr(module, "collect", lambda source, **how: given.append((source, how)))
    metric.compute(sync=False, group="group", timeout=3.0)
    metric.compute()
    assert given == [
        (metric, {"sync": False, "group": "group", "timeout": 3.0}),
        (metric, {"sync": True, "group": None, "timeout": None}),
    ]


def test_a_step_counts_what_its_mask_and_its_names_say() -> None:
    valid, extra = torch.tensor([True, True, False]), torch.tensor([True, False, True])
    said, several = Said(), Metrics({"said": Said()})
    for make in (said, several):
        make.step(torch.zeros(3), valid=valid)
        make.step(torch.zeros(3), extra=extra)
        make.step(torch.zeros(3), valid=valid, extra=extra)
    assert said.num() == 2 + 2 + 1
    assert several["said"].states["n"].item() == 2 + 2 + 1


def test_a_metric_anew_stays_on_its_device() -> None:
    said = Said()
    said.states.to("meta")
    assert said.fresh().states.device.type == "meta"


def test_metrics_share_only_what_all_their_fields_agree_on() -> None:
    assert Said(scale=2.0).key == Said(scale=2.0).key
    assert Said(scale=2.0).key != Said(scale=3.0).key
    assert "scale=2.0, shift=0.0): {" in Said(scale=2.0).key[1]
    assert IoU(num_classes=3).key == F1(num_classes=3, average="micro").key


def test_names_in_snake_case() -> None:
    known = ["IoU", "BoxMIoU", "BoundaryIoU", "MAPAtR", "FBeta", "PSNR", "BalancedAccuracy", "Hd95Mean"]
    assert [snake(name) for name in known] == [
        "iou", "box_miou", "boundary_iou", "map_at_r", "f_beta", "psnr", "balanced_accuracy", "hd95_mean",
    ]  # fmt: skip


def test_a_lone_metric_says_what_it_needs() -> None:
    with pytest.raises(ConfigError, match="^Accuracy needs target; update got pred"):
        Accuracy(num_classes=3).update(torch.eye(3))
    with pytest.raises(ConfigError) as caught:
        Metrics({"x": 3})  # type: ignore[dict-item]
    assert str(caught.value) == "member 'x' is 3. Expected a metric or the config of one."


class Special(torch.Tensor):
    """A tensor of a kind of its own, whose copies nobody knows."""


def test_what_may_wait() -> None:
    half = torch.zeros(SMALL // 2, dtype=torch.uint8)
    both = {"pred": half, "target": half}
    states = States({"n": Sum()})
    assert not may_wait(states, both)  # the first
    assert may_wait(states, both)
    assert may_wait(states, {"pred": half[1:], "target": half})
    assert not may_wait(states, {"pred": torch.zeros(SMALL), "target": half})
    assert not may_wait(states, {**both, "more": half[:1]})
    assert not may_wait(states, {"pred": half.as_subclass(Special)})
    assert not may_wait(states, {"pred": [half]})
    assert not may_wait(states, {"pred": half.to("meta")})
    assert may_wait(states, both)


class Joined(Said):
    """One whose small batches wait."""

    joins = True


def test_batches_of_one_type_and_other_shapes_wait_side_by_side() -> None:
    metric = Joined()
    for shape in ((2, 2), (2, 2), (4, 2), (5, 3), (6,)):
        metric.update(torch.zeros(shape))
    assert metric.num() == 2 + 2 + 4 + 5 + 6
