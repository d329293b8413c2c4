"""Every score of the confusion family against its definition, and against scikit-learn where that has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sklearn import metrics as sk

from dltools import metrics as dl
from dltools.metrics import Metrics
from tests.metrics import brute
from tests.metrics.cases import Case, cases

AVERAGES = ("macro", "micro", "weighted", "none")


def members(fields: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in ("Accuracy", "HammingLoss", "BalancedAccuracy", *brute.SCORES):
        more = {"beta": 2.0} if name == "FBeta" else {}
        for average in AVERAGES:
            out[f"{name}_{average}"] = getattr(dl, f"{name}Cfg")(**fields, **more, average=average)
    out["report"], out["dice"] = dl.ClassificationReportCfg(**fields), dl.GeneralizedDiceCfg(**fields)
    if fields["task"] == "multilabel":
        return {**out, "exact": dl.ExactMatchCfg(**fields)}
    for weights in (None, "linear", "quadratic"):
        out[f"kappa_{weights}"] = dl.CohenKappaCfg(**fields, weights=weights)
    return {**out, "mcc": dl.MCCCfg(**fields)}


def same(found: float, expected: float) -> bool:
    return math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-14) or (math.isnan(found) and math.isnan(expected))


@given(cases())
@settings(max_examples=60)
def test_scores_are_those_of_their_definitions(case: Case) -> None:
    metrics = Metrics(members(case.fields))
    assert len({id(metric.states) for metric in metrics.values()}) == 1
    for pred, target, valid in case.halves():
        metrics.update(pred, target, valid=valid)
    report, found = metrics.compute(), brute.of(case)
    scores = {
        **brute.SCORES,
        "Accuracy": brute.accuracy(case.task),
        "HammingLoss": brute.errors(case.task),
    }
    for name, score in scores.items():
        each = brute.by_class(score, found, case.task)
        for average in AVERAGES:
            expected = brute.averaged(score, found, case.task, average)
            assert same(report[f"{name}_{average}"], expected), (name, average)
            per_class = report.per_class(f"{name}_{average}")
            assert all(map(same, per_class.values(), each))
            assert list(per_class) == (["1"] if case.task == "binary" else [str(c) for c in range(len(found))])
        for c, value in report.per_class(f"{name}_none").items():
            assert same(report[f"{name}_none/{c}"], value)
    assert same(report["dice"], generalized_dice(found))
    if case.task == "multilabel":
        check_exact(case, report)
    else:
        check_agreement(case, report)


def generalized_dice(found: list[brute.Class]) -> float:
    part = whole = 0.0
    for k in found:
        if size := k.tp + k.fn:
            part += 2 * k.tp / size**2
            whole += (2 * k.tp + k.fp + k.fn) / size**2
    return brute.ratio(part, whole)


def check_exact(case: Case, report: Any) -> None:
    """An element counts if a label of it does; all that count must be right."""
    right = n = 0
    labels, ignore = case.fields["num_classes"], case.fields["ignore_index"]
    if ignore is not None:
        return  # the pairs of ignored labels are not aligned; see the test with numbers
    for image in case.images:
        for i in range(len(image[0])):
            n += 1
            right += all(t == p for t, p in (image[c][i] for c in range(labels)))
    assert same(report["exact"], brute.ratio(right, n))


def check_agreement(case: Case, report: Any) -> None:
    sides = 2 if case.task == "binary" else case.fields["num_classes"]
    matrix = brute.matrix(case.channels[0], sides).astype(float)
    n = matrix.sum()
    for weights, power in (("linear", 1), ("quadratic", 2), (None, 0)):
        cost = np.array([[float(abs(i - j) ** power if power else i != j) for j in range(sides)] for i in range(sides)])
        chance = np.outer(matrix.sum(1), matrix.sum(0)) / n if n else matrix
        expected = 1 - brute.ratio((cost * matrix).sum(), (cost * chance).sum())
        assert report[f"kappa_{weights}"] == pytest.approx(expected, rel=1e-11, abs=1e-12, nan_ok=True)
    pairs = np.array(case.channels[0]).reshape(-1, 2)
    assert report["mcc"] == pytest.approx(correlation(pairs, sides), rel=1e-11, abs=1e-12, nan_ok=True)


def correlation(pairs: Any, sides: int) -> float:
    """Covariance of one-hot rows over the root of both variances; 0 if one of them is constant (Gorodkin 2004)."""
    if not len(pairs):
        return math.nan
    t, p = (np.eye(sides)[pairs[:, i]] for i in (0, 1))
    t, p = t - t.mean(0), p - p.mean(0)
    spread = (t * t).sum() * (p * p).sum()
    return float((t * p).sum() / math.sqrt(spread)) if spread > 1e-12 else 0.0


SKLEARN: dict[str, Callable[..., float]] = {
    "Precision": sk.precision_score,
    "Recall": sk.recall_score,
    "F1": sk.f1_score,
    "FBeta": lambda *args, **more: sk.fbeta_score(*args, beta=2.0, **more),
    "IoU": sk.jaccard_score,
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@given(cases(tasks=("multiclass", "binary"), ignore_index=-1))
@settings(max_examples=25)
def test_scores_are_those_of_sklearn(case: Case) -> None:
    metrics = Metrics(members(case.fields))
    metrics.update(case.pred, case.target, valid=case.valid)
    report, pairs = metrics.compute(), np.array(case.channels[0]).reshape(-1, 2)
    t, p = pairs.T
    if len(set(t) | set(p)) < 2:
        return  # it warns, or refuses
    for name, score in SKLEARN.items():
        if case.task == "binary":
            assert same(report[f"{name}_macro"], score(t, p, zero_division=0)), name
            continue
        for average in ("macro", "micro", "weighted"):
            expected = score(t, p, average=average, zero_division=0)  # over the classes of either, which is our rule
            assert same(report[f"{name}_{average}"], expected), (name, average)
    assert same(report["Accuracy_micro"], sk.accuracy_score(t, p))
    assert same(report["HammingLoss_micro"], sk.hamming_loss(t, p))
    if set(p) <= set(t):  # else sklearn leaves classes out that are predicted only
        assert same(report["BalancedAccuracy_macro"], sk.balanced_accuracy_score(t, p))
    assert report["mcc"] == pytest.approx(sk.matthews_corrcoef(t, p), abs=1e-12)
    for weights in (None, "linear", "quadratic"):
        labels = list(range(2 if case.task == "binary" else case.fields["num_classes"]))  # distances count absent ones
        expected = sk.cohen_kappa_score(t, p, weights=weights, labels=labels)
        assert report[f"kappa_{weights}"] == pytest.approx(expected, abs=1e-12)
    check_table(case, report, t, p)


def check_table(case: Case, report: Any, t: Any, p: Any) -> None:
    labels = [1] if case.task == "binary" else list(range(case.fields["num_classes"]))
    columns = sk.precision_recall_fscore_support(t, p, labels=labels, zero_division=0)
    there = np.isin(labels, [*t, *p])
    table = report.data("report")["table"]
    np.testing.assert_allclose(table[there], np.stack(columns, 1)[there], rtol=1e-12)
    assert np.isnan(table[~there, :3]).all()
    assert same(report["report/accuracy"], sk.accuracy_score(t, p))
    for i, name in enumerate(("precision", "recall", "f1")):
        if there.any():
            assert same(report[f"report/{name}"], columns[i][there].mean())
        if case.task == "multiclass":
            assert same(report[f"report/weighted_{name}"], np.average(columns[i], weights=columns[3]))
    assert same(report["report"], report["report/f1"])


def test_sklearn_on_multilabel_tasks() -> None:
    rng = np.random.default_rng(0)
    t, p = (torch.from_numpy(rng.integers(0, 2, (40, 5))) for _ in range(2))
    fields = {"task": "multilabel", "num_classes": 5, "holds": "labels"}
    metrics = Metrics(members(fields))
    metrics.update(p, t)
    report = metrics.compute()
    for name, score in SKLEARN.items():
        for average in ("macro", "micro", "weighted"):
            assert same(report[f"{name}_{average}"], score(t.numpy(), p.numpy(), average=average, zero_division=0))
    assert same(report["exact"], sk.accuracy_score(t.numpy(), p.numpy()))
    assert same(report["HammingLoss_micro"], sk.hamming_loss(t.numpy(), p.numpy()))
    assert (sk.multilabel_confusion_matrix(t.numpy(), p.numpy()) == matrix_of(fields, p, t)).all()
    each = [sk.balanced_accuracy_score(t[:, c], p[:, c]) for c in range(5)]
    assert same(report["BalancedAccuracy_macro"], float(np.mean(each)))


def matrix_of(fields: dict[str, Any], pred: torch.Tensor, target: torch.Tensor) -> Any:
    matrix = dl.ConfusionMatrix(**fields)
    matrix.update(pred, target)
    return matrix.compute().data("confusion_matrix")["matrix"]


def test_balanced_accuracy_is_the_mean_over_the_sides_that_are_there() -> None:
    def value(pred: list[int], target: list[int]) -> float:
        metric = dl.BalancedAccuracy(task="binary", holds="labels")
        metric.update(torch.tensor(pred), torch.tensor(target))
        return metric.compute()["balanced_accuracy"]

    assert value([1, 1, 0, 1], [1, 1, 0, 0]) == 0.75
    assert value([1, 1], [1, 1]) == 1.0
    assert value([1, 0], [1, 1]) == 0.25  # nothing is negative, but something is predicted to be


def test_exact_match_leaves_ignored_labels_out() -> None:
    exact = dl.ExactMatch(num_classes=2, holds="labels", ignore_index=-1)
    target = torch.tensor([[1, -1], [0, -1], [-1, -1], [1, 1]])
    exact.update(torch.tensor([[1, 0], [1, 0], [1, 1], [1, 1]]), target)
    report = exact.compute()
    assert (report["exact_match"], report.n["exact_match"]) == (2 / 3, 3)
    assert report.ci("exact_match").method == "wilson"
