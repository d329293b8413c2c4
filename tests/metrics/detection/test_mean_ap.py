"""Average precision: pycocotools to the last digit; the same on any ranks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dltools.cfgutils import build
from dltools.errors import ConfigError, ShapeError
from dltools.metrics import MAP, BoxMIoUCfg, KeypointAPCfg, MeanAveragePrecision, MeanAveragePrecisionCfg, Metrics
from tests.distributed.spawn import run_ranks
from tests.metrics.detection import coco

NAMES = ["", "/ap50", "/ap75", "/ap_small", "/ap_medium", "/ap_large", "/ar1", "/ar10", "/ar100"]
NAMES += ["/ar_small", "/ar_medium", "/ar_large"]
KEYPOINT_NAMES = ["", "/ap50", "/ap75", "/ap_medium", "/ap_large", "/ar"]


def values(metric: Any, names: list[str]) -> list[float]:
    report = metric.compute()
    return [report[f"{metric.lone_name}{name}"] for name in names]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 4), st.booleans(), st.integers(1, 9))
def test_boxes(seed: int, classes: int, ties: bool, size: int) -> None:
    preds, targets = coco.images(9, classes, seed, ties=ties)
    if not sum(len(p["scores"]) for p in preds):
        return
    metric = MeanAveragePrecision(num_classes=classes)
    for i in range(0, 9, size):
        metric.update(preds[i : i + size], targets[i : i + size])
    assert values(metric, NAMES) == pytest.approx(coco.pycocotools(preds, targets, classes), abs=1e-12, nan_ok=True)
    assert metric.compute().n["mean_average_precision"] == 9


def test_many_detections_and_given_areas() -> None:
    preds, targets = coco.images(6, 1, 3, objects=60, false=150)
    for target in targets:
        target["area"] = (target["boxes"][:, 2] - target["boxes"][:, 0]) * 11
    metric = MeanAveragePrecision(num_classes=1)
    metric.update(preds, targets)
    assert values(metric, NAMES) == pytest.approx(coco.pycocotools(preds, targets, 1), abs=1e-12, nan_ok=True)


def test_masks() -> None:
    preds, targets = (coco.with_masks(one) for one in coco.images(5, 2, 11))
    metric = MeanAveragePrecision(num_classes=2, masks=True)
    metric.update(preds, targets)
    assert values(metric, NAMES) == pytest.approx(coco.pycocotools(preds, targets, 2, "segm"), abs=1e-12, nan_ok=True)


def persons(seed: int) -> tuple[list[coco.Image], list[coco.Image]]:
    rng = np.random.default_rng(seed)
    preds, targets = [], []
    for _ in range(8):
        n = int(rng.integers(0, 5))
        sides = rng.uniform(30, 150, (n, 2))
        corner = rng.uniform(0, 50, (n, 2))
        points = corner[:, None] + rng.random((n, 4, 2)) * sides[:, None]
        seen = rng.integers(0, 3, (n, 4)) * (rng.random((n, 1)) < 0.8)
        area = sides.prod(1) * 0.6
        targets.append(
            {
                "keypoints": torch.from_numpy(np.concatenate([points, seen[..., None]], 2)),
                "area": torch.from_numpy(area),
                "boxes": torch.from_numpy(np.concatenate([corner, corner + sides], 1)),
                "iscrowd": torch.from_numpy((rng.random(n) < 0.1).astype(np.int64)),
            }
        )
        again = np.repeat(np.arange(n), rng.integers(0, 3, n))
        found = points[again] + rng.normal(0, 0.08, (len(again), 4, 2)) * np.sqrt(area[again])[:, None, None]
        preds.append({"keypoints": torch.from_numpy(found), "scores": torch.from_numpy(rng.random(len(again)))})
    return preds, targets


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_key_points(seed: int) -> None:
    preds, targets = persons(seed)
    if not sum(len(p["scores"]) for p in preds):
        return
    sigmas = (0.1, 0.05, 0.2, 0.08)
    metric = build(KeypointAPCfg(sigmas=sigmas))
    for i in range(0, 8, 3):
        metric.update(preds[i : i + 3], targets[i : i + 3])
    expected = coco.pycocotools(preds, targets, 1, "keypoints", kpt_oks_sigmas=np.array(sigmas))
    wanted = [expected[i] for i in (0, 1, 2, 3, 4, 5)]
    assert values(metric, KEYPOINT_NAMES) == pytest.approx(wanted, abs=1e-12, nan_ok=True)
    assert values(metric, ["/ar_medium", "/ar_large"]) == pytest.approx(expected[8:], abs=1e-12, nan_ok=True)


def test_oks_at_the_scale_of_its_sigma() -> None:
    metric = build(KeypointAPCfg(sigmas=(0.25,), iou_thresholds=(0.6,)))
    truth = torch.tensor([[[0.0, 0.0, 2.0]]])
    for off, right in ((0.999, 1.0), (1.02, 0.0)):  # exp(-1/2) = .6065 at d^2 = area (2 sigma)^2
        guess = torch.tensor([[[off * 50.0, 0.0]]])
        metric.reset()
        metric.update(
            [{"keypoints": guess, "scores": torch.ones(1)}], [{"keypoints": truth, "area": torch.tensor([1e4])}]
        )
        assert metric.compute()["keypoint_ap"] == pytest.approx(right)


def one(boxes: list[list[float]], scores: list[float] | None = None) -> coco.Image:
    made = {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.zeros(len(boxes), dtype=torch.int64)}
    return made if scores is None else {**made, "scores": torch.tensor(scores)}


def test_known_values() -> None:
    box = [0.0, 0.0, 100.0, 100.0]
    metric = MAP(num_classes=1)
    metric.update([one([[0.0, 0.0, 100.0, 62.0]], [0.9])], [one([box])])
    assert values(metric, ["", "/ap50", "/ap75"]) == pytest.approx([0.3, 1.0, 0.0])
    metric.reset()
    metric.update([one([[500.0, 500.0, 600.0, 600.0], box], [0.9, 0.8])], [one([box])])
    assert values(metric, [""]) == pytest.approx([0.5])
    metric.reset()
    ten = [[200.0 * i, 0.0, 200.0 * i + 100, 100.0] for i in range(10)]
    metric.update([one([ten[0]], [0.5])], [one(ten)])
    assert values(metric, [""]) == pytest.approx([11 / 101])


def on_a_rank(rank: int, world: int) -> list[float]:
    preds, targets = coco.images(11, 3, 5, ties=True)
    metric = MeanAveragePrecision(num_classes=3)
    mine = list(range(rank, 11, world))
    for i in range(0, len(mine), 2):
        part = mine[i : i + 2]
        metric.update([preds[j] for j in part], [targets[j] for j in part])
    return values(metric, NAMES)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks(world: int) -> None:
    preds, targets = coco.images(11, 3, 5, ties=True)
    expected = coco.pycocotools(preds, targets, 3)
    for found in run_ranks(on_a_rank, world, world):
        assert found == pytest.approx(expected, abs=1e-12)


def test_edges() -> None:
    metric = MeanAveragePrecision(num_classes=2)
    assert all(map(math.isnan, values(metric, NAMES)))
    metric.update([one([], [])], [one([])])
    assert math.isnan(values(metric, [""])[0])
    metric.update([one([], [])], [one([[0.0, 0.0, 9.0, 9.0]])])
    assert values(metric, ["", "/ar100", "/ap_large"]) == pytest.approx([0, 0, math.nan], nan_ok=True)
    box = [0.0, 0.0, 9.0, 9.0]
    padded = MeanAveragePrecision(num_classes=1)
    padded.update([one([box], [1.0]), one([box], [math.nan])], [one([box])] * 2, valid=torch.tensor([True, False]))
    assert values(padded, [""]) == pytest.approx([1.0])
    padded.update([one([box], [math.nan])], [{**one([box]), "labels": torch.tensor([7])}])
    with pytest.warns(UserWarning, match="2 elements.*0 to 0"):
        assert math.isnan(values(padded, [""])[0])


def test_data_and_classes() -> None:
    preds, targets = coco.images(5, 2, 1)
    metric = MeanAveragePrecision(num_classes=2, box_format="xywh", max_dets=(5,))
    for sets in (preds, targets):
        for x in sets:
            x["boxes"][:, 2:] -= x["boxes"][:, :2]
    metric.update(preds, targets)
    report = metric.compute()
    by_class = report.per_class("mean_average_precision")
    assert np.mean(list(by_class.values())) == pytest.approx(report["mean_average_precision"])
    assert report.data("mean_average_precision")["precision"].shape == (10, 101)
    assert "mean_average_precision/ar5" in report


@pytest.mark.parametrize(
    "fields", [{"max_dets": (10, 1)}, {"max_dets": ()}, {"iou_thresholds": ()}, {"iou_thresholds": (0.0,)}]
)
def test_configs_that_mean_nothing(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        MeanAveragePrecisionCfg(num_classes=1, **fields)


def test_shapes() -> None:
    metric = MeanAveragePrecision(num_classes=1)
    with pytest.raises(ShapeError, match="pred is a dict"):
        metric.update(one([], []), [one([])])
    with pytest.raises(ShapeError, match="1 predictions, 2 targets"):
        metric.update([one([], [])], [one([])] * 2)


LABEL, BOX, SCORE = torch.tensor([0]), torch.tensor([[0.0, 0.0, 9.0, 9.0]]), torch.ones(1)


@pytest.mark.parametrize(
    ("pred", "match"),
    [
        ({"boxes": BOX, "labels": LABEL}, "tensors scores"),
        ({"boxes": BOX, "labels": LABEL, "scores": torch.ones(2)}, "a row per object"),
        ({}, "has nothing"),
        ({"boxes": torch.zeros(2, 6), "labels": LABEL, "scores": SCORE}, "a row per object"),
        ({"boxes": torch.zeros(1, 3), "labels": LABEL, "scores": SCORE}, r"boxes \(1, 3\).*\(n, 4\)"),
        ({"boxes": BOX, "labels": LABEL.view(1, 1), "scores": SCORE}, r"labels \(1, 1\).*\(n,\)"),
    ],
)
def test_entries_that_do_not_fit_are_refused_before_anybody_counts(pred: Any, match: str) -> None:
    metrics = Metrics({"iou": BoxMIoUCfg(), "map": MeanAveragePrecisionCfg(num_classes=1)})
    with pytest.raises(ShapeError, match=match):
        metrics.update([pred], [{"boxes": BOX, "labels": LABEL}])
    assert metrics.compute().n == dict.fromkeys(metrics.compute(), 0)


@pytest.mark.parametrize("entry", [{"iscrowd": torch.zeros(2)}, {"area": torch.ones(2)}, {"area": torch.ones(1, 1)}])
def test_what_a_target_may_have_must_fit_too(entry: Any) -> None:
    metric = MeanAveragePrecision(num_classes=1)
    with pytest.raises(ShapeError, match="row per object|area"):
        metric.update([{"boxes": BOX, "labels": LABEL, "scores": SCORE}], [{"boxes": BOX, "labels": LABEL, **entry}])


def test_key_points_of_another_shape_are_refused() -> None:
    metric = build(KeypointAPCfg(sigmas=(0.1, 0.1)))
    points, area = torch.zeros(1, 2, 3), torch.ones(1)
    for found, there in ((points, points[..., :2]), (points[:, :1], points), (points.flatten(1), points)):
        with pytest.raises(ShapeError, match=r"keypoints \(1, "):
            metric.update([{"keypoints": found, "scores": SCORE}], [{"keypoints": there, "area": area}])


def test_inputs_may_change_after_the_update() -> None:
    metric = build(MeanAveragePrecisionCfg(num_classes=1))
    boxes, scores = BOX.double(), SCORE.double()
    metric.update([{"boxes": boxes, "scores": scores, "labels": LABEL}], [{"boxes": boxes, "labels": LABEL}])
    boxes.fill_(0)
    scores.fill_(torch.nan)
    assert metric.compute()["mean_average_precision"] == pytest.approx(1)
