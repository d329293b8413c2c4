"""The first of what cannot be counted is named, whatever the family, the split and the way it was counted."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from dltools import metrics as dl
from dltools.metrics import Metric

NAN, INF = float("nan"), float("inf")
SCORES = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
BOX = torch.tensor([[0.0, 0.0, 2.0, 2.0]])


def labels(*found: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    return torch.tensor(found).to(dtype)


def maps(label: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    x = torch.zeros(2, 6, 6, dtype=torch.int64)
    x[1, 2:4, 2:4], x[1, 4, 5] = 1, label
    return x.to(dtype)


def objects(**given: Any) -> list[dict[str, torch.Tensor]]:
    return [{"boxes": BOX, "labels": labels(0), "scores": torch.ones(1), **given}]


CASES: dict[str, tuple[Metric[Any], tuple[Any, ...], dict[str, Any], str]] = {
    "pixels": (dl.IoU(num_classes=2), (torch.zeros(2, 2, 6, 6), maps(7)), {}, "7"),
    "after what is left out": (dl.IoU(num_classes=2, ignore_index=255), (SCORES, labels(255, -4, 9)), {}, "-4"),
    "predicted": (dl.IoU(num_classes=2, holds="labels"), (labels(0, 6, 7), labels(0, 1, 1)), {}, "6"),
    "predicted, where the target is left out": (
        dl.IoU(num_classes=2, holds="labels", ignore_index=255),
        (labels(6, 7, 1), labels(255, 1, 1)),
        {},
        "7",
    ),
    "unsigned": (dl.IoU(num_classes=2), (SCORES, labels(0, 65535, 9, dtype=torch.uint16)), {}, "65535"),
    "many classes": (dl.Accuracy(num_classes=3000), (torch.zeros(2, 3000), labels(5, 3000)), {}, "3000"),
    "top k": (dl.TopKAccuracy(num_classes=2, k=1), (SCORES, labels(0, 2, 9)), {}, "2"),
    "top k of NaN": (dl.TopKAccuracy(num_classes=2, k=1), (SCORES * NAN, labels(0, 1, 1)), {}, "nan"),
    "ranking": (dl.AUROC(task="binary"), (SCORES[:, 0], labels(0, 1, -3)), {}, "-3"),
    "ranking of NaN": (dl.AUROC(task="binary"), (SCORES[:, 0] * NAN, labels(0, 1, 1)), {}, "nan"),
    "ranking of no probability": (
        dl.AUROC(task="binary", holds="probs"),
        (SCORES[:, 0] + 1, labels(0, 1, 1)),
        {},
        "1.9",
    ),
    "calibration": (dl.CalibrationError(holds="probs"), (SCORES, labels(0, 1, 4)), {}, "4"),
    "no probability": (dl.LogLoss(holds="probs"), (SCORES * 2, labels(0, 1, 1)), {}, "1.8"),
    "no score of what is left out": (
        dl.BrierScore(holds="probs", ignore_index=-1),
        (SCORES * 2, labels(-1, 0, 1)),
        {},
        "1.6",
    ),
    "numbers": (dl.MAE(), (torch.tensor([1.0, 2.0]), torch.tensor([0.5, INF])), {}, "pred 2, target inf"),
    "depth": (dl.DepthErrors(), (torch.tensor([1.0, -2.0]), torch.tensor([0.5, 4.0])), {}, "pred -2, target 4"),
    "log": (dl.MSLE(), (torch.tensor([0.0, 1.0]), torch.tensor([0.5, -1.25])), {}, "pred 1, target -1.25"),
    "moments": (dl.PearsonCorr(), (torch.tensor([1.0, NAN]), torch.tensor([0.5, 3.0])), {}, "pred nan, target 3"),
    "ranks": (dl.SpearmanCorr(), (torch.tensor([1.0, NAN]), torch.tensor([0.5, 3.0])), {}, "pred nan, target 3"),
    "angles": (
        dl.CosineSimilarity(),
        (torch.zeros(1, 4), torch.ones(1, 4)),
        {},
        "length of pred 0, length of target 2",
    ),
    "rims": (dl.BoundaryIoU(num_classes=2, holds="labels"), (maps(0), maps(3)), {}, "3"),
    "surfaces": (dl.SurfaceDistance(num_classes=2, holds="labels"), (maps(5, torch.uint16), maps(1)), {}, "5"),
    "objects": (
        dl.MeanAveragePrecision(num_classes=1),
        (objects(labels=labels(4)), objects()),
        {},
        "label 4, score 1, area 4",
    ),
    "boxes": (dl.BoxMIoU(), (objects(boxes=BOX * NAN), objects()), {}, "nan"),
    "points": (
        dl.PCK(num_keypoints=1),
        (torch.full((1, 1, 2), 3.0), torch.zeros(1, 1, 2)),
        {"box": BOX * 0},
        "distance 4.24264, length 0",
    ),
    "images": (
        dl.PSNR(),
        (torch.full((1, 1, 2, 2), 0.5), torch.tensor([[[[0.5, NAN], [0.5, 0.5]]]])),
        {},
        "pred 0.5, target nan",
    ),
    "embeddings": (dl.RecallAtK(dim=2), (torch.tensor([[0.0, 1.0], [1.0, -INF]]), labels(0, 0)), {}, "-inf"),
    "samples": (dl.Seen(size=3), (), {"index": labels(0, 5, 6)}, "5"),
    "classes": (dl.ClassStats(num_classes=3), (), {"target": labels(0, 4, 3)}, "4"),
    "unsigned flags": (dl.ClassStats(num_classes=2), (), {"target": torch.tensor([[0, 6]]).to(torch.uint16)}, "6"),
    "NaN before a label": (dl.IoU(num_classes=2), (torch.tensor([[NAN, 0.0], [0.0, 1.0]]), labels(0, 7)), {}, "nan"),
    "prediction before a target": (dl.IoU(num_classes=2, holds="labels"), (labels(6, 0), labels(0, 9)), {}, "6"),
    "score before a label": (dl.LogLoss(), (torch.tensor([[NAN, 0.0], [0.0, 1.0]]), labels(0, 7)), {}, "nan"),
    "box as given": (
        dl.BoxMIoU(box_format="cxcywh"),
        (objects(boxes=torch.tensor([[0.0, 0.0, INF, 1.0]])), objects()),
        {},
        "inf",
    ),
    "flags": (dl.ClassStats(num_classes=3), (), {"target": torch.tensor([[0, 1, 2], [3, 0, 1]])}, "2"),
}


def told(metric: Metric[Any]) -> str:
    with pytest.warns(UserWarning, match="cannot be counted") as caught:
        metric.compute()
    assert len(caught) == 1
    return str(caught[0].message)


@pytest.mark.parametrize("case", CASES)
def test_the_first_is_named(case: str) -> None:
    metric, batch, named, first = CASES[case]
    metric.reset()
    metric.update(*batch, **named)
    assert f"the first is {first}." in told(metric)


def test_it_is_the_first_of_all_batches_small_and_large_ones() -> None:
    iou = dl.IoU(num_classes=2)
    for label in (0, 0, 8, 1, 9):
        iou.update(SCORES, labels(1, label, 0))
    iou.update(torch.zeros(2, 2, 300, 300), torch.full((2, 300, 300), 5))
    assert "180002 elements" in told(iou)
    assert "the first is 8." in told(iou)


def test_it_is_the_first_whether_batches_wait_or_not() -> None:
    for clean in (0, 1):
        iou = dl.IoU(num_classes=2, holds="labels")
        for pred, target in [((0, 0), (0, 0))] * clean + [((0, 6), (0, 1)), ((0, 1), (0, 9))]:
            iou.update(labels(*pred), labels(*target))
        assert "the first is 6." in told(iou)
    nan, label = (dl.Accuracy(num_classes=2) for _ in range(2))
    nan.update(SCORES * NAN, labels(0, 1, 1))
    label.update(SCORES, labels(0, 1, 9))
    nan.merge(label)
    assert "the first is nan." in told(nan)


@pytest.mark.parametrize("cfg", [dl.IoUCfg(num_classes=2), dl.LogLossCfg(), dl.AUROCCfg()])
def test_a_graph_of_any_batch_size_keeps_it(cfg: Any) -> None:
    metric, whole = cfg.build(), cfg.build()
    update = torch.compile(lambda p, y: metric.update(p, y), backend="eager", fullgraph=True, dynamic=True)
    for size, label in ((4, 1), (6, 8), (10, 9)):
        p, y = torch.rand(size, 2), torch.arange(size) % 2
        y[2] = label
        update(p, y)
        whole.update(p, y)
    assert "the first is 8." in told(metric)
    assert torch.equal(metric.states["first"], whole.states["first"])


def test_a_later_batch_and_a_rank_that_has_none_change_nothing() -> None:
    mine, other, clean = (dl.Accuracy(num_classes=2) for _ in range(3))
    mine.update(SCORES, labels(0, 1, 4))
    mine.update(SCORES, labels(6, 1, 4))
    other.update(SCORES, labels(7, 1, 0))
    clean.update(SCORES, labels(0, 1, 0))
    clean.merge(other)
    assert "the first is 7." in told(clean)
    mine.merge(other)
    clean.load_state_dict(mine.state_dict())
    assert "4 elements" in told(clean)
    assert "the first is 4." in told(clean)
    mine.reset()
    mine.update(SCORES, labels(0, 1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mine.compute()["accuracy"] == 1.0


def test_excluded_samples_are_not_the_first() -> None:
    metrics = dl.Metrics({"iou": dl.IoUCfg(num_classes=2), "loss": dl.LogLossCfg()})
    metrics.update(SCORES, labels(9, 1, 4), valid=torch.tensor([False, True, True]))
    with pytest.warns(UserWarning, match=r"the first is 4\.") as caught:
        metrics.compute()
    assert len(caught) == 2
