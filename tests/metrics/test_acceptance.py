"""Known numbers."""

from __future__ import annotations

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
