"""Nothing counted, labels that are none, scores that are NaN."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.metrics import (
    Accuracy,
    AccuracyCfg,
    ClassificationReportCfg,
    CohenKappaCfg,
    ConfusionMatrixCfg,
    F1Cfg,
    GeneralizedDiceCfg,
    IoUCfg,
    MCCCfg,
    Metrics,
)


def members(**fields: Any) -> Metrics:
    made: dict[str, Any] = {
        "acc": AccuracyCfg(**fields),
        "f1": F1Cfg(**fields),
        "iou": IoUCfg(**fields),
        "dice": GeneralizedDiceCfg(**fields),
        "report": ClassificationReportCfg(**fields),
        "matrix": ConfusionMatrixCfg(**fields),
    }
    if fields.get("task") != "multilabel":
        made |= {"mcc": MCCCfg(**fields), "kappa": CohenKappaCfg(**fields, weights="linear")}
    return Metrics(made)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("how", ["never", "empty", "ignored", "masked"])
def test_nothing_counted_is_nan_with_n_0(task: str, how: str, per_image: bool) -> None:
    metrics = members(task=task, num_classes=2, ignore_index=7, per_image=per_image)
    if how != "never":
        n = 0 if how == "empty" else 3
        pred = torch.zeros(n, 2, 4) if task != "binary" else torch.zeros(n, 4)
        target = torch.full((n, 4) if task != "multilabel" else (n, 2, 4), 7 if how == "ignored" else 0)
        metrics.update(pred, target, valid=torch.zeros(n, dtype=torch.bool) if how == "masked" else None)
    report = metrics.compute()
    assert all(math.isnan(value) for value in report.values()), report
    assert set(report.n.values()) == {0}
    assert report.invalid == {}
    assert all(math.isnan(value) for value in report.per_class("iou").values())
    if per_image:
        assert math.isnan(report.ci("iou/image").low)


BAD: dict[str, tuple[dict[str, Any], Tensor, Tensor, int, str]] = {
    "high": ({"num_classes": 3}, torch.eye(3), torch.tensor([0, 3, 200]), 2, "3"),
    "low": ({"num_classes": 3}, torch.eye(3), torch.tensor([0, -1, -100]), 2, "-1"),
    "large": ({"num_classes": 3}, torch.eye(3), torch.tensor([0, 2**40, -(2**40)]), 2, "1099511627776"),
    "byte": ({"num_classes": 3}, torch.eye(3), torch.tensor([0, 255, 1], dtype=torch.uint8), 1, "255"),
    "nan": ({"num_classes": 3}, torch.tensor([[0.0, 1, 2], [math.nan, 9, 0]]), torch.tensor([2, 1]), 1, "nan"),
    "predicted": ({"num_classes": 3, "holds": "labels"}, torch.tensor([1, 5]), torch.tensor([1, 1]), 1, "5"),
    "binary": ({"task": "binary"}, torch.tensor([1.0, 1.0, math.nan]), torch.tensor([0, 2, 1]), 2, "2"),
    "half": ({"task": "binary"}, torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.5]), 1, "0.5"),
    "float": ({"task": "binary"}, torch.tensor([1.0, 1.0]), torch.tensor([0.0, math.nan]), 1, "nan"),
    "labels": ({"task": "multilabel"}, torch.ones(2, 2), torch.tensor([[0, 1], [1, 9]]), 1, "9"),
    "both": ({"num_classes": 3}, torch.full((2, 3), math.nan), torch.tensor([5, 1]), 2, "5"),
}


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_what_is_no_class_makes_the_value_unknown(case: str, per_image: bool) -> None:
    fields, pred, target, invalid, first = BAD[case]
    metrics = members(**fields, per_image=per_image)
    metrics.update(pred, target)
    with pytest.warns(UserWarning, match="elements cannot be counted") as caught:
        report = metrics.compute()
    assert len(caught) == 1
    classes = fields.get("num_classes", 2)
    assert f"{invalid} elements" in str(caught[0].message)
    assert f"the first is {first}." in str(caught[0].message)
    assert f"labels 0..{classes - 1}" in str(caught[0].message)
    assert "ignore_index is None" in str(caught[0].message)
    assert all(math.isnan(value) for value in report.values())
    assert all(math.isnan(value) for value in report.per_class("f1").values())
    assert {report.invalid[name] for name in metrics} == {invalid}
    assert report.n["acc"] == target.numel() - invalid
    kept = report.data("matrix")["matrix"]
    assert kept.sum() == target.numel() - invalid


def test_bad_labels_that_are_left_out_do_not_matter() -> None:
    accuracy = Accuracy(num_classes=3, ignore_index=(255, -100))
    pred = torch.eye(3)
    pred[2] = math.nan
    accuracy.update(pred, torch.tensor([0, 255, -100]))
    accuracy.update(pred, torch.tensor([7, 1, 9]), valid=torch.tensor([False, True, False]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = accuracy.compute()
    assert (report["accuracy"], report.n["accuracy"]) == (1.0, 2)


def test_absent_classes_are_left_out_and_predicted_ones_are_not() -> None:
    metrics = Metrics(
        {"iou": IoUCfg(num_classes=5, holds="labels"), "all": IoUCfg(num_classes=5, holds="labels", average="none")}
    )
    metrics.update(torch.tensor([0, 1, 3]), torch.tensor([0, 1, 1]))
    report = metrics.compute()
    assert report["iou"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert math.isnan(report["all/2"])
    assert report["all/3"] == 0.0
    assert report["all"] == report["iou"]


def test_constant_prediction_has_no_correlation_and_one_class_no_kappa() -> None:
    metrics = Metrics({"mcc": MCCCfg(holds="labels"), "kappa": CohenKappaCfg(holds="labels")})
    metrics.update(torch.zeros(4, dtype=torch.long), torch.tensor([0, 1, 0, 1]))
    assert dict(metrics.compute()) == {"mcc": 0.0, "kappa": 0.0}
    metrics.reset()
    metrics.update(torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.long))
    report = metrics.compute()
    assert report["mcc"] == 0.0
    assert math.isnan(report["kappa"])


def test_one_of_those_that_share_a_count_warns_for_all_and_alone_for_itself() -> None:
    metrics = Metrics({"acc": AccuracyCfg(num_classes=3), "f1": F1Cfg(num_classes=3)})
    metrics.update(torch.eye(3), torch.tensor([0, 1, 7]))
    for source, name in ((metrics, "Accuracy"), (metrics["acc"], "Accuracy"), (metrics["f1"], "F1")):
        with pytest.warns(UserWarning, match=f"{name}: 1 elements cannot be counted") as caught:
            report = source.compute()
        assert len(caught) == 1
        assert all(math.isnan(value) for value in report.values())
        assert report.invalid == dict.fromkeys(report, 1)
