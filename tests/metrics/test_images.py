"""Values of single images, and intervals: of shares, of images, of nothing else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from dltools.errors import ConfigError
from dltools.metrics import (
    F1,
    Accuracy,
    AccuracyCfg,
    ClassificationReportCfg,
    CohenKappaCfg,
    ConfusionMatrixCfg,
    ExactMatchCfg,
    F1Cfg,
    GeneralizedDiceCfg,
    HammingLossCfg,
    IoU,
    IoUCfg,
    MCCCfg,
    Metrics,
    PrecisionCfg,
    RecallCfg,
    SpecificityCfg,
)
from tests.metrics import brute
from tests.metrics.cases import Case, cases


@given(cases(per_image=True))
@settings(max_examples=60)
def test_image_value_is_the_mean_over_images_of_their_values(case: Case) -> None:
    names = ("Precision", "Recall", "Specificity", "F1", "IoU")
    metrics = Metrics({name: CFGS[name](**case.fields) for name in names})
    for pred, target, valid in case.halves():
        metrics.update(pred, target, valid=valid)
    report = metrics.compute()
    for name in names:
        each = []
        for image in case.images:
            found = brute.classes(case.task, case.fields["num_classes"], image)
            each.append(brute.averaged(brute.SCORES[name], found, case.task, "macro"))
        known = [value for value in each if not math.isnan(value)]
        assert report[f"{name}/image"] == pytest.approx(np.mean(known) if known else math.nan, rel=1e-12, nan_ok=True)
        assert report.n[f"{name}/image"] == len(known)
        whole = brute.averaged(brute.SCORES[name], brute.of(case), case.task, "macro")
        assert report[name] == pytest.approx(whole, rel=1e-12, nan_ok=True)


CFGS: dict[str, Any] = {
    "Precision": PrecisionCfg,
    "Recall": RecallCfg,
    "Specificity": SpecificityCfg,
    "F1": F1Cfg,
    "IoU": IoUCfg,
}


def eight_of_ten(cfg: Any) -> Metrics:
    metrics = Metrics({"x": cfg})
    target = torch.ones(10, dtype=torch.long)
    pred = torch.where(torch.arange(10) < 8, target, 0)
    metrics.update(pred, target)
    return metrics


@pytest.mark.parametrize(
    "cfg",
    [
        AccuracyCfg(holds="labels"),
        AccuracyCfg(holds="labels", task="binary"),
        RecallCfg(holds="labels", task="binary"),
        RecallCfg(holds="labels", average="micro"),
        ConfusionMatrixCfg(holds="labels"),
    ],
)
def test_a_share_of_samples_has_a_wilson_interval(cfg: Any) -> None:
    low, high, method = eight_of_ten(cfg).compute().ci("x")
    assert (round(low, 10), round(high, 10), method) == (0.4901624715, 0.9433178485, "wilson")


def test_wilson_of_errors_and_of_report_parts() -> None:
    low, high, _ = eight_of_ten(HammingLossCfg(holds="labels")).compute().ci("x")
    assert (round(1 - high, 10), round(1 - low, 10)) == (0.4901624715, 0.9433178485)
    report = eight_of_ten(ClassificationReportCfg(holds="labels")).compute()
    assert report.ci("x/accuracy").method == "wilson"
    assert report.ci("x/accuracy", level=0.5).low > report.ci("x/accuracy").low


@pytest.mark.parametrize(
    "cfg", [AccuracyCfg(task="binary"), F1Cfg(task="binary"), IoUCfg(), MCCCfg(), GeneralizedDiceCfg()]
)
def test_pixels_are_no_independent_samples(cfg: Any) -> None:
    metrics = Metrics({"x": cfg})
    binary = cfg.task == "binary"
    metrics.update(torch.randn(3, 5) if binary else torch.randn(3, 2, 5), torch.randint(0, 2, (3, 5)))
    with pytest.raises(ConfigError, match="no independent samples.*per_image=True"):
        metrics.compute().ci("x")


def test_one_batch_of_pixels_is_enough_to_say_so() -> None:
    accuracy = Accuracy(task="binary", holds="labels")
    accuracy.update(torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.long))
    accuracy.update(torch.ones(2, dtype=torch.long), torch.ones(2, dtype=torch.long))
    with pytest.raises(ConfigError, match="no independent samples"):
        accuracy.compute().ci("accuracy")


def test_images_are_drawn_again_by_a_poisson_bootstrap() -> None:
    rng = np.random.default_rng(3)
    p, t = (torch.from_numpy(rng.integers(0, 2, (300, 40))) for _ in range(2))
    metric = IoU(task="binary", holds="labels", per_image=True)
    metric.update(p, t)
    report = metric.compute()
    part, whole = (p & t).sum(1).numpy(), (p | t).sum(1).numpy()
    linear = (part - report["iou"] * whole) / whole.mean()  # the ratio of sums, to first order
    half = 1.96 * linear.std() / math.sqrt(300)
    low, high, method = report.ci("iou")
    assert method == "bootstrap"
    assert low == pytest.approx(report["iou"] - half, abs=half / 5)
    assert high == pytest.approx(report["iou"] + half, abs=half / 5)
    each = part / whole
    low, high, _ = report.ci("iou/image")
    half = 1.96 * each.std() / math.sqrt(300)
    assert (low, high) == pytest.approx((each.mean() - half, each.mean() + half), abs=half / 5)
    assert report.ci("iou", seed=1) != report.ci("iou") == report.ci("iou")
    wide, narrow = report.ci("iou", 0.99), report.ci("iou", 0.5, resamples=200)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_padding_and_empty_images_change_no_interval() -> None:
    gen = torch.Generator().manual_seed(0)
    p, t = torch.randn(20, 3, 6, generator=gen), torch.randint(0, 3, (20, 6), generator=gen)
    plain, padded = (F1(num_classes=3, per_image=True, ignore_index=9) for _ in range(2))
    plain.update(p, t)
    padded.update(p, t)
    padded.update(p[:2], t[:2], valid=torch.tensor([False, False]))
    padded.update(p[:1], torch.full((1, 6), 9))
    assert padded.compute().ci("f1") == plain.compute().ci("f1")
    assert dict(padded.compute()) == dict(plain.compute())


def test_what_needs_more_than_the_counts_of_an_image_has_no_value_of_images() -> None:
    kappa = Metrics({str(how): CohenKappaCfg(per_image=True, weights=how) for how in (None, "linear", "quadratic")})
    kappa.update(torch.eye(2), torch.tensor([0, 1]))
    assert sorted(kappa.compute()) == ["None", "None/image", "linear", "quadratic"]
    exact = ExactMatchCfg(per_image=True).build()
    exact.update(torch.ones(3, 2), torch.ones(3, 2))
    assert dict(exact.compute()) == {"exact_match": 1.0}
