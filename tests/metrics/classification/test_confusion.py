"""The counts of the confusion family against a loop over elements, for every kind of input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from dltools.metrics import Accuracy, ConfusionMatrix, ConfusionMatrixCfg, F1Cfg, IoUCfg, Metrics
from dltools.metrics.classification import confusion
from tests.metrics import brute
from tests.metrics.cases import Case, cases


@given(cases())
@settings(max_examples=150)
def test_matrix_is_that_of_a_loop(case: Case) -> None:
    metric = ConfusionMatrix(ConfusionMatrixCfg(**case.fields))
    for pred, target, valid in case.halves():
        metric.update(pred, target, valid=valid)
    report = metric.compute()
    sides = case.fields["num_classes"] if case.task == "multiclass" else 2
    loops = [brute.matrix(pairs, sides) for pairs in case.channels]
    expected = np.stack(loops) if case.task == "multilabel" else loops[0]
    found = report.data("confusion_matrix")["matrix"]
    assert found.dtype == np.int64
    assert found.tolist() == expected.tolist()
    assert report.n["confusion_matrix"] == expected.sum()
    assert report.invalid == {}
    right = sum(int(m.trace()) for m in loops)
    value = report["confusion_matrix"]
    assert value == right / expected.sum() if expected.sum() else math.isnan(value)


@given(cases(tasks=("multiclass",)))
@settings(max_examples=25)
def test_margins_in_place_of_a_large_matrix_say_the_same(case: Case) -> None:
    members = {"acc": Accuracy(**case.fields).cfg, "f1": F1Cfg(**case.fields), "iou": IoUCfg(**case.fields)}
    small = Metrics(members)
    small.update(case.pred, case.target, valid=case.valid)
    expected = dict(small.compute())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confusion, "MANY_CLASSES", 1)
        large = Metrics(members)
        matrix = ConfusionMatrix(**case.fields)
        for metrics in (large, matrix):
            metrics.update(case.pred, case.target, valid=case.valid)
        assert large["acc"].states["cells"].shape == (1, 3, case.fields["num_classes"] + 2)
        assert "matrix" in matrix.compute().data("confusion_matrix")
        assert dict(large.compute()) == pytest.approx(expected, rel=1e-14, nan_ok=True)


def test_many_classes_keep_vectors_unless_the_matrix_is_wanted() -> None:
    n = 3000
    metrics = Metrics({"acc": Accuracy(num_classes=n), "f1": F1Cfg(num_classes=n)})
    target = torch.arange(n)
    pred = torch.zeros(n, n)
    pred[target, (target + (target % 3 == 0)) % n] = 1.0
    metrics.update(pred, target)
    assert metrics["f1"].states["cells"].shape == (1, 3, n + 2)
    report = metrics.compute()
    assert report["acc"] == 2 / 3
    assert report["f1"] == pytest.approx((1000 * 2 / 3 + 1000 * 1.0) / 3000, rel=1e-14)
    metrics.update(torch.zeros(1, n), torch.tensor([n]))
    with pytest.warns(UserWarning, match=r"1 elements cannot be counted.*0\.\.2999"):
        assert math.isnan(metrics.compute()["acc"])


def test_sums_are_right_past_the_precision_of_float32() -> None:
    metric = Accuracy(task="binary", holds="labels")
    ones = torch.ones(1, dtype=torch.int64)
    metric.update(ones, ones)
    metric.states["cells"][0, 2, 2] += 2**24 - 1
    for _ in range(10):
        metric.update(ones, ones)
    metric.update(ones, 1 - ones)
    report = metric.compute()
    assert report.n["accuracy"] == 2**24 + 11
    assert report["accuracy"] == (2**24 + 10) / (2**24 + 11)


def test_names_of_classes_stand_in_reports() -> None:
    matrix = ConfusionMatrix(num_classes=2, holds="labels", class_names=("cat", "dog"))
    matrix.update(torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert matrix.compute().data("confusion_matrix")["classes"].tolist() == ["cat", "dog"]
    binary = Metrics({"f1": F1Cfg(task="binary", class_names=("no", "yes")), "m": ConfusionMatrixCfg(task="binary")})
    binary.update(torch.tensor([1.0, -1.0]), torch.tensor([1, 0]))
    report = binary.compute()
    assert report.per_class("f1") == {"yes": 1.0}
    assert report.data("m")["classes"].tolist() == ["0", "1"]
    named = ConfusionMatrix(task="multilabel", num_classes=3, class_names=("a", "b", "c"))
    named.update(torch.ones(1, 3), torch.ones(1, 3))
    assert named.compute().data("confusion_matrix")["matrix"].shape == (3, 2, 2)
    assert named.compute().data("confusion_matrix")["classes"].tolist() == ["a", "b", "c"]
