"""Known numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from dltools import metrics as dl
from dltools.metrics import Metrics

MATRIX = [[5, 1, 0], [2, 6, 2], [0, 1, 3]]


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    cells = [(t, p) for t, row in enumerate(MATRIX) for p, n in enumerate(row) for _ in range(n)]
    target, pred = torch.tensor(cells).T
    return pred, target


def test_a_matrix_and_all_that_follows() -> None:
    fields: dict[str, Any] = {"num_classes": 3, "holds": "labels"}
    metrics = Metrics(
        {
            "accuracy": dl.AccuracyCfg(**fields),
            "balanced": dl.BalancedAccuracyCfg(**fields),
            "f1": dl.F1Cfg(**fields),
            "f1_weighted": dl.F1Cfg(**fields, average="weighted"),
            "kappa": dl.CohenKappaCfg(**fields),
            "quadratic": dl.CohenKappaCfg(**fields, weights="quadratic"),
            "mcc": dl.MCCCfg(**fields),
            "miou": dl.IoUCfg(**fields),
        }
    )
    metrics.update(*pairs())
    expected = {
        "accuracy": 0.7,
        "balanced": 0.7277777778,
        "f1": 0.7008547009,
        "f1_weighted": 0.6974358974,
        "kappa": 0.5348837209,
        "quadratic": 0.7222222222,
        "mcc": 0.5413804894,
        "miou": 0.5416666667,
    }
    assert dict(metrics.compute()) == pytest.approx(expected, abs=5e-11)
    assert metrics.compute().higher == dict.fromkeys(expected, True)


def test_directions_are_said() -> None:
    loss = dl.HammingLoss(num_classes=3, holds="labels")
    loss.update(*pairs())
    report = loss.compute()
    assert report["hamming_loss"] == pytest.approx(0.3, abs=1e-15)
    assert report.higher["hamming_loss"] is False
    assert report.bounds("hamming_loss") == (report["hamming_loss"],) * 2


def test_thresholds_are_not_shared() -> None:
    fields: dict[str, Any] = {"task": "multilabel", "num_classes": 2, "holds": "probs"}
    metrics = Metrics({str(t): dl.AccuracyCfg(**fields, threshold=t) for t in (0.5, 0.6)})
    metrics.update(torch.tensor([[0.9, 0.1], [0.55, 0.55]]), torch.tensor([[1, 0], [1, 1]]))
    assert dict(metrics.compute()) == {"0.5": 1, "0.6": 0.5}


def test_numbers_of_other_groups() -> None:
    texts, words = dl.CER(), dl.Perplexity()
    texts.update(["sitting"], ["kitten"])
    words.update(torch.zeros(2, 50, 7), torch.zeros(2, 7, dtype=torch.int64))
    assert (texts.compute()["cer"], words.compute()["perplexity"]) == (0.5, pytest.approx(50, rel=1e-6))
    auroc = dl.AUROC(task="binary", scores="float32")
    auroc.update(torch.tensor([0.2, 3, 0.9, -2, 0.5, 0.6]), torch.tensor([0, 0, 1, 0, 1, 1]))
    assert auroc.compute()["auroc"] == pytest.approx(2 / 3, abs=1e-12)


@pytest.mark.parametrize(("threshold", "found"), [(0.60, 1), (0.61, 0)])
def test_key_points_half_a_size_off(threshold: float, found: float) -> None:
    """A squared distance of area (2 sigma)^2 is a similarity of exp(-1/2) = 0.6065."""
    metric = dl.KeypointAP(sigmas=(0.25,), iou_thresholds=(threshold,))
    points, area = torch.tensor([[[10.0, 20.0, 2.0]]]), torch.tensor([4900.0])
    off = points[..., :2] + torch.tensor([70 * 0.5, 0.0])
    metric.update([{"keypoints": off, "scores": torch.ones(1)}], [{"keypoints": points, "area": area}])
    assert metric.compute()["keypoint_ap"] == pytest.approx(found)


def test_one_detection_that_overlaps_by_62_percent() -> None:
    metric = dl.MAP(num_classes=1)
    box, wide = torch.tensor([[0.0, 0.0, 100.0, 62.0]]), torch.tensor([[0.0, 0.0, 100.0, 100.0]])
    label = torch.tensor([0])
    metric.update([{"boxes": box, "scores": torch.ones(1), "labels": label}], [{"boxes": wide, "labels": label}])
    report = metric.compute()
    wanted = {"": 0.3, "/ap50": 1, "/ap75": 0}
    assert {name: report[f"mean_average_precision{name}"] for name in wanted} == pytest.approx(wanted, abs=1e-12)


def test_squares_three_pixels_apart() -> None:
    a, b = torch.zeros(1, 32, 32, dtype=torch.int64), torch.zeros(1, 32, 32, dtype=torch.int64)
    a[0, 8:16, 8:16], b[0, 8:16, 11:19] = 1, 1
    none = torch.zeros_like(a)

    def values(pred: torch.Tensor, target: torch.Tensor, **fields: Any) -> dict[str, float]:
        metric = dl.SurfaceDistance(num_classes=2, holds="labels", **fields)
        metric.update(pred, target)
        return {name.split("/")[1]: value for name, value in metric.compute().items()}

    assert {k: values(a, b)[k] for k in ("hd", "hd95", "nsd_1")} == {"hd": 3, "hd95": 3, "nsd_1": 0.5}
    assert values(a, b, spacing=(1.0, 2.0))["hd"] == 6
    assert values(a, none)["hd"] == math.inf
    assert values(none, b, missed="diagonal")["hd"] == pytest.approx(32 * 2**0.5)
    assert all(map(math.isnan, values(none, none).values()))
