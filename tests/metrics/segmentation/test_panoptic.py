"""Panoptic quality against torchmetrics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dltools.errors import ConfigError, ShapeError
from dltools.metrics import PanopticQuality, PanopticQualityCfg

torchmetrics: Any = pytest.importorskip("torchmetrics.detection")
THINGS, STUFFS, VOID = (1, 3), (0, 6), 9


def pictures(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks of classes and instances, a few of them changed in the prediction."""
    rng = np.random.default_rng(seed)
    kind = rng.choice([0, 1, 3, 6], (3, 4, 4))
    target = np.stack([kind, rng.integers(0, 2, kind.shape)], -1).repeat(3, 1).repeat(3, 2)
    pred = target.copy()
    changed = rng.random(pred.shape[:3]) < 0.25
    pred[changed] = np.stack([rng.choice([0, 1, 3, 6], changed.sum()), rng.integers(0, 2, changed.sum())], -1)
    target[rng.random(target.shape[:3]) < 0.1] = (VOID, 0)
    return torch.from_numpy(pred), torch.from_numpy(target)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_values(seed: int) -> None:
    pred, target = pictures(seed)
    metric = PanopticQuality(things=THINGS, stuffs=STUFFS)
    metric.update(pred[:1], target[:1])
    metric.update(pred[1:], target[1:])
    expected = by_definition(pred, target)
    report = metric.compute()
    for name, value in expected.items():
        assert report[f"panoptic_quality{name}"] == pytest.approx(value)


def by_definition(pred: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """All pairs of masks of all images, one after the other."""
    sums = {c: [0.0, 0, 0, 0] for c in (*THINGS, *STUFFS)}
    for a, b in zip(pred.numpy(), target.numpy(), strict=True):
        void = b[..., 0] == VOID

        def masks(x: Any) -> list[tuple[int, Any]]:
            found = []
            for c in (*THINGS, *STUFFS):
                instances = np.unique(x[x[..., 0] == c][:, 1]) if c in THINGS else [None]
                for i in instances:
                    mask = (x[..., 0] == c) & ((x[..., 1] == i) if i is not None else True)
                    if mask.any():
                        found.append((c, mask))
            return found

        mine, theirs = masks(a), masks(b)
        used = set()
        for c, p in mine:
            best = None
            for j, (d, t) in enumerate(theirs):
                iou = (p & t).sum() / ((p & ~void) | t).sum()
                if c == d and iou > 0.5:
                    best = j
                    sums[c][0] += iou
                    sums[c][1] += 1
                    used.add(j)
            if best is None and (p & void).sum() <= p.sum() / 2:
                sums[c][2] += 1
        for j, (d, _) in enumerate(theirs):
            sums[d][3] += j not in used
    rows = [(iou, tp, fp, fn) for iou, tp, fp, fn in sums.values() if tp + fp + fn]
    sq = [iou / tp if tp else 0.0 for iou, tp, _, _ in rows]
    rq = [tp / (tp + (fp + fn) / 2) for _, tp, fp, fn in rows]
    return {"": float(np.mean(np.multiply(sq, rq))), "/sq": float(np.mean(sq)), "/rq": float(np.mean(rq))}


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_without_void_it_is_torchmetrics(seed: int) -> None:
    pred, target = pictures(seed)
    target = torch.where(target[..., :1] == VOID, pred, target)
    theirs = torchmetrics.PanopticQuality(things=set(THINGS), stuffs=set(STUFFS), return_sq_and_rq=True)
    theirs.update(pred, target)
    metric = PanopticQuality(things=THINGS, stuffs=STUFFS)
    metric.update(pred, target)
    assert list(metric.compute().values()) == pytest.approx(theirs.compute().double().reshape(-1).tolist(), abs=1e-6)


def test_edges() -> None:
    metric = PanopticQuality(things=(1,))
    assert math.isnan(metric.compute()["panoptic_quality"])
    x = torch.ones(2, 3, 3, 2, dtype=torch.int64)
    y = x.clone()
    y[1] = 0
    metric.update(x, y, valid=torch.tensor([True, False]))
    assert metric.compute()["panoptic_quality"] == 1.0
    with pytest.raises(ShapeError, match="class and instance"):
        metric.update(x[..., 0], y[..., 0])
    for fields in ({"things": ()}, {"things": (1,), "stuffs": (1,)}):
        with pytest.raises(ConfigError, match="each class once"):
            PanopticQualityCfg(**fields)  # type: ignore[arg-type]
