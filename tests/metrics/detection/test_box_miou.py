from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.errors import ShapeError
from dltools.metrics import BoxMIoU, MIoU
from tests.metrics.detection import coco


def iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inter = float(sides.prod()) if (sides > 0).all() else 0.0
    return inter / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter)


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.1, 0.5, 0.75]))
def test_values(seed: int, aware: bool, threshold: float) -> None:
    preds, targets = coco.images(4, 2, seed)
    found, total = [], 0
    for pred, target in zip(preds, targets, strict=True):
        a, b = pred["boxes"].double().numpy(), target["boxes"].double().numpy()
        all_pairs = [
            (iou(x, y), i, j)
            for i, x in enumerate(a)
            for j, y in enumerate(b)
            if not aware or pred["labels"][i] == target["labels"][j]
        ]
        used: set[tuple[str, int]] = set()
        for value, i, j in sorted(all_pairs, reverse=True):
            if value >= threshold and ("a", i) not in used and ("b", j) not in used:
                used |= {("a", i), ("b", j)}
                found.append(value)
        total += len(b)
    metric = BoxMIoU(threshold=threshold, class_aware=aware)
    metric.update(preds[:1], targets[:1])
    metric.update(preds[1:], targets[1:])
    report = metric.compute()
    assert report["box_miou"] == pytest.approx(np.mean(found) if found else math.nan, nan_ok=True)
    assert report["box_miou/recall"] == pytest.approx(len(found) / total if total else math.nan, nan_ok=True)


def test_edges() -> None:
    metric = MIoU(class_aware=False)
    assert math.isnan(metric.compute()["box_miou"])
    box = {"boxes": torch.tensor([[0.0, 0.0, 1.0, 1.0]])}
    bad = {"boxes": torch.tensor([[0.0, 0.0, math.nan, 1.0]])}
    metric.update([box, bad], [box, box], valid=torch.tensor([True, False]))
    assert metric.compute()["box_miou"] == 1.0
    metric.update([bad], [box])
    with pytest.warns(UserWarning, match="1 elements"):
        assert math.isnan(metric.compute()["box_miou"])
    with pytest.raises(ShapeError, match="a list of dicts"):
        metric.update(torch.zeros(1, 4), [box])
    with pytest.raises(ShapeError, match="1 predictions, 2 targets"):
        metric.update([box], [box, box])
