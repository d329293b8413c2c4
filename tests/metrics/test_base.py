"""What every metric is given: inputs by name, sharing, refusals, steps, merging, saving."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dltools.cfgutils import build
from dltools.errors import ConfigError, ShapeError
from dltools.meters import collect
from dltools.metrics import (
    Accuracy,
    AccuracyCfg,
    CERCfg,
    ConfusionMatrixCfg,
    ConfusionMetric,
    F1Cfg,
    HammingLossCfg,
    IoU,
    IoUCfg,
    MAPCfg,
    Metric,
    MetricCfg,
    Metrics,
    MetricsCfg,
    PSNRCfg,
    SSIMCfg,
    WERCfg,
)
from dltools.states import State, States, Sum

PRED, TARGET = torch.eye(3), torch.tensor([0, 1, 1])


class MarginCfg(MetricCfg["Margin"]):
    pass


class Margin(Metric[MarginCfg]):
    """Mean distance of two scores where ``group`` is the target: a metric of a user's own."""

    def layout(self) -> Mapping[str, State]:
        return {"sum": Sum(dtype=torch.float64), "n": Sum()}

    def count(self, s: States, left: Tensor, right: Tensor, *, group: Tensor, valid: Tensor) -> None:
        here = valid & (group == 1)
        s.add("sum", torch.where(here, (left - right).abs(), 0).sum())
        s["n"] += here.sum()

    def value(self, s: States) -> float:
        return float(s["sum"] / s["n"])


def three_members() -> Metrics:
    return Metrics({"acc": AccuracyCfg(num_classes=3), "f1": F1Cfg(num_classes=3), "iou": IoUCfg(num_classes=3)})


def test_equal_keys_are_counted_once_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    count = ConfusionMetric.count

    @functools.wraps(count)
    def counted(self: Any, *args: Any, **named: Any) -> None:
        calls.append(type(self).__name__)
        count(self, *args, **named)

    monkeypatch.setattr(ConfusionMetric, "count", counted)
    metrics = Metrics(
        {
            "acc": AccuracyCfg(num_classes=3),
            "each": AccuracyCfg(num_classes=3, average="none"),
            "f1": F1Cfg(num_classes=3, average="weighted"),
            "matrix": ConfusionMatrixCfg(num_classes=3),
            "void": IoUCfg(num_classes=3, ignore_index=1),
        }
    )
    metrics.update(PRED, TARGET)
    assert calls == ["Accuracy", "IoU"]
    assert len({id(metrics[name].states) for name in ("acc", "each", "f1", "matrix")}) == 1
    assert metrics["void"].states is not metrics["acc"].states
    assert metrics.compute()["void"] == 1.0


def test_thresholds_do_not_share() -> None:
    metrics = Metrics(
        {
            "half": AccuracyCfg(task="binary", holds="probs"),
            "more": AccuracyCfg(task="binary", holds="probs", threshold=0.6),
        }
    )
    metrics.update(torch.tensor([0.9, 0.1]), torch.tensor([1, 0]))
    metrics.update(torch.tensor([0.55, 0.55]), torch.tensor([1, 1]))
    assert dict(metrics.compute()) == {"half": 1.0, "more": 0.5}


def test_inputs_go_by_name_and_can_be_renamed() -> None:
    members = {
        "a": MarginCfg(inputs={"left": "pred", "right": "target", "group": "side"}),
        "b": MarginCfg(inputs={"left": "embedding", "right": "target", "group": "side"}),
        "acc": AccuracyCfg(num_classes=2, holds="labels", inputs={"pred": "side", "target": "label"}),
    }
    metrics = Metrics(members)
    assert metrics["a"].states is not metrics["b"].states
    side, valid = torch.tensor([1, 1, 0]), torch.tensor([True, True, False])
    x, y = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.0, 0.5, 0.0])
    metrics.update(x, y, side=side, embedding=2 * x, label=torch.tensor([1, 0, 0]), valid=valid)
    assert dict(metrics.compute()) == {"a": 1.25, "b": 2.75, "acc": 0.5}
    with pytest.raises(ConfigError, match=r"Margin needs side; update got pred, target, embedding, label"):
        metrics.update(x, y, embedding=x, label=side)
    with pytest.raises(ConfigError, match="no metric takes 'labels'.*did you mean 'label'"):
        metrics.update(x, y, side=side, embedding=x, labels=side)
    with pytest.raises(ConfigError, match=r"inputs names grop.*parameters of count: left, right, group"):
        Margin(inputs={"grop": "side"})
    with pytest.raises(ConfigError, match="target is given twice"):
        metrics.update(x, y, target=y)
    with pytest.raises(ConfigError, match="3 positional inputs"):
        metrics.update(x, y, side)
    with pytest.raises(ConfigError, match="no inputs"):
        metrics.update()


def test_an_error_of_an_update_names_the_metrics_that_it_is_for() -> None:
    metrics = Metrics({"two": AccuracyCfg(), "acc": AccuracyCfg(num_classes=3), "f1": F1Cfg(num_classes=3)})
    with pytest.raises(ShapeError) as caught:
        metrics.update(torch.eye(2), torch.tensor([0, 1]))
    assert caught.value.__notes__ == ["for acc, f1"]
    assert metrics["two"].compute().n["accuracy"] == 0


def test_named_inputs_are_positional_ones() -> None:
    accuracy = Accuracy(num_classes=3)
    accuracy.update(target=TARGET, pred=PRED)
    assert accuracy.compute()["accuracy"] == 2 / 3


@pytest.mark.parametrize(
    ("pred", "target", "fields", "said"),
    [
        (
            torch.zeros(3, 4),
            TARGET,
            {},
            r"pred \(3, 4\) float32, target \(3,\) int64.*'multiclass'.*'logits'.*num_classes=4",
        ),
        (PRED, TARGET.float(), {}, r"target\.long\(\)"),
        (PRED, PRED, {}, r"argmax\(1\)"),
        (PRED.long(), TARGET, {}, "holds='labels'"),
        (PRED, TARGET, {"holds": "labels"}, "holds='logits' or 'probs'"),
        (PRED, TARGET[:2], {}, "equal sizes of N and S"),
        (PRED, TARGET[:, None], {}, r"target\.squeeze\(1\)"),
        (torch.zeros(3), TARGET, {}, "task='binary'"),
        (torch.zeros(3, 3, 4), torch.zeros(3, 5, dtype=torch.long), {}, "equal sizes"),
        (torch.zeros(3, 2), TARGET, {"task": "binary", "num_classes": 2}, "task='multiclass'"),
        (torch.zeros(4), TARGET, {"task": "binary", "num_classes": 2}, "equal shapes"),
        (PRED, TARGET, {"task": "multilabel"}, "task='multiclass'"),
        (torch.zeros(3, 4), torch.zeros(3, 4), {"task": "multilabel"}, r"\(N, 3, \*S\)"),
        (TARGET, TARGET[:2], {"holds": "labels"}, "equal shapes"),
        (PRED, TARGET.to(torch.complex64), {}, "samples in dim 0"),
    ],
)
def test_what_does_not_fit_is_refused_before_anybody_counts(
    pred: Tensor, target: Tensor, fields: dict[str, Any], said: str
) -> None:
    fine = HammingLossCfg(num_classes=3, inputs={"pred": "good", "target": "truth"})
    metrics = Metrics({"fine": fine, "bad": AccuracyCfg(**{"num_classes": 3, **fields})})
    with pytest.raises(ShapeError, match=said):
        metrics.update(pred, target, good=PRED[: len(pred)], truth=TARGET[: len(pred)])
    assert all(not states["cells"].any() for states in metrics.counted().values())


@pytest.mark.parametrize("valid", [torch.ones(2, dtype=torch.bool), torch.ones(3), torch.ones(3, 1, dtype=torch.bool)])
def test_a_mask_that_does_not_fit_is_refused(valid: Tensor) -> None:
    metrics = three_members()
    with pytest.raises(ShapeError, match=r"valid is.*a bool tensor \(3,\)"):
        metrics.update(PRED, TARGET, valid=valid)
    for given, said in (
        (np.zeros(3), "target as ndarray"),
        ([0, 1, 1], "target as list"),
        (None, "target as NoneType"),
    ):
        with pytest.raises(ShapeError, match=said):
            Accuracy().update(torch.zeros(3, 2), given)
    with pytest.raises(ShapeError, match="pred is a int"):
        Accuracy().update(3, torch.zeros(3))
    with pytest.raises(ShapeError, match="pred is a single number"):
        metrics.update(torch.tensor(1.0), TARGET)


def test_configs_that_cannot_be_meant_are_refused() -> None:
    for fields, said in [
        ({"num_classes": 1}, "task='binary'"),
        ({"task": "binary", "num_classes": 3}, "task='multiclass'"),
        ({"num_classes": 3, "class_names": ("a", "b")}, "3, one per class"),
        ({"threshold": 1.5}, "threshold"),
    ]:
        with pytest.raises(ConfigError, match=said):
            AccuracyCfg(**fields)
    with pytest.raises(ConfigError, match="member 'x' is 3"):
        Metrics({"x": 3})  # type: ignore[dict-item]


def test_step_counts_once_and_gives_the_batch_alone() -> None:
    for make in (three_members, lambda: Accuracy(num_classes=3)):
        metrics = make()
        metrics.update(PRED, TARGET)
        before = dict(metrics.compute())
        step = metrics.step(PRED[:2], TARGET[:2], valid=torch.tensor([True, True]))
        alone = make()
        alone.update(PRED[:2], TARGET[:2])
        assert dict(collect({"train": step})) == dict(collect({"train": alone}))
        metrics.update(PRED[:0], TARGET[:0])
        whole = make()
        whole.update(torch.cat([PRED, PRED[:2]]), torch.cat([TARGET, TARGET[:2]]))
        assert dict(metrics.compute()) == dict(whole.compute()) != before


def test_merge_is_having_counted_both() -> None:
    one, other, both = (three_members() for _ in range(3))
    one.update(PRED, TARGET)
    other.update(PRED[1:], TARGET[1:])
    both.update(torch.cat([PRED, PRED[1:]]), torch.cat([TARGET, TARGET[1:]]))
    one.merge(other)
    assert dict(one.compute()) == dict(both.compute())
    with pytest.raises(ConfigError, match="the state counts .*num_classes=4"):
        one.merge(Metrics({"acc": AccuracyCfg(num_classes=4)}))
    lone = IoU(num_classes=3)
    lone.merge(IoU(num_classes=3).step(PRED, TARGET))
    assert lone.compute()["iou"] == 0.5


def test_reset_and_collect_with_reset_start_again() -> None:
    metrics = three_members()
    metrics.update(PRED, TARGET)
    assert collect({"val": metrics}, reset=True)["val/acc"] == 2 / 3
    assert math.isnan(metrics.compute()["acc"])
    metrics.update(PRED, TARGET)
    metrics.reset()
    assert not metrics["f1"].states["cells"].any()


def test_compute_changes_nothing_and_keeps_nothing() -> None:
    metrics = three_members()
    metrics.update(PRED, TARGET)
    state = metrics.state_dict()
    first = dict(metrics.compute())
    assert dict(metrics.compute()) == first
    again = metrics.state_dict()
    assert str(again) == str(state)
    metrics.update(PRED[:1], TARGET[:1])
    assert dict(metrics.compute()) != first


def test_configs_build_metrics_and_read_back() -> None:
    cfg = MetricsCfg(members={"acc": AccuracyCfg(num_classes=3), "f1": F1Cfg(num_classes=3)})
    metrics = build(cfg)
    assert metrics.cfg == cfg
    names = {"Metrics": Metrics, "AccuracyCfg": AccuracyCfg, "F1Cfg": F1Cfg}
    assert eval(repr(metrics), names).cfg == cfg
    used = Accuracy(num_classes=3)
    used.update(PRED, TARGET)
    assert math.isnan(Metrics({"a": used}).compute()["a"])
    assert used.compute()["accuracy"] == 2 / 3


def test_states_are_no_part_of_a_model() -> None:
    model = torch.nn.Linear(3, 3)
    model.metric = Accuracy(num_classes=3)  # type: ignore[assignment]
    model.half()
    assert model.metric.states["cells"].dtype == torch.int64  # type: ignore[union-attr]
    assert list(model.state_dict()) == ["weight", "bias"]


def test_inputs_are_detached_and_may_come_in_inference_mode() -> None:
    metrics = Metrics({"a": MarginCfg(inputs={"left": "pred", "right": "target", "group": "side"})})
    with torch.inference_mode():
        metrics.update(torch.ones(2), torch.zeros(2), side=torch.ones(2))
    x = torch.full((2,), 3.0, requires_grad=True)
    metrics.update(x * 1, torch.zeros(2), side=torch.ones(2))
    assert metrics.compute()["a"] == 2.0
    assert not metrics["a"].states["sum"].requires_grad


def test_leaves_that_count_in_their_own_way_do_not_share() -> None:
    together = [
        (PSNRCfg(), SSIMCfg()),
        (CERCfg(), WERCfg()),
        (MAPCfg(num_classes=1), MAPCfg(num_classes=1, box_format="xywh")),
        (MAPCfg(num_classes=1), MAPCfg(num_classes=1, max_dets=(1, 2, 3))),
    ]
    for a, b in together:
        metrics = Metrics({"a": a, "b": b, "twin": b})
        assert metrics["a"].states is not metrics["b"].states
        assert metrics["twin"].states is metrics["b"].states
