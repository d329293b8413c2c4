"""Distances of surfaces against exact distance maps of scipy and against the reference of the surfel convention."""

from __future__ import annotations

import itertools
import math
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import surface_distance as peer
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dltools.cfgutils import build
from dltools.errors import ConfigError, ShapeError
from dltools.metrics import HausdorffDistanceCfg, Metrics, SurfaceDiceCfg, SurfaceDistance, SurfaceDistanceCfg

NAMES = ("hd", "hd95", "assd", "nsd_1", "nsd_0.5")


def blobs(seed: int, shape: tuple[int, ...], n: int = 2, classes: int = 3) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    made = np.zeros((n, *shape), np.int64)
    for i, c in itertools.product(range(n), range(1, classes)):
        where = ndimage.gaussian_filter(rng.normal(size=shape), 1.5) > rng.uniform(0.02, 0.2)
        made[i][where] = c
    return torch.from_numpy(made)


def by_hand(pred: Any, target: Any, spacing: tuple[float, ...]) -> list[float]:
    """By distance maps of whole images."""
    cross = ndimage.generate_binary_structure(pred.ndim, 1)
    edges = [x & ~ndimage.binary_erosion(x, cross) for x in (pred, target)]
    maps = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    there, back = maps[1][edges[0]], maps[0][edges[1]]
    both = np.concatenate([there, back])
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return [both.max(), hd95, both.mean(), (both <= 1).mean(), (both <= 0.5).mean()]


def by_peer(pred: Any, target: Any, spacing: tuple[float, ...]) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks scipy for an old name
        found = peer.compute_surface_distances(target, pred, spacing)
    first, second = peer.compute_average_surface_distance(found)
    areas = found["surfel_areas_gt"].sum(), found["surfel_areas_pred"].sum()
    return [
        peer.compute_robust_hausdorff(found, 100),
        peer.compute_robust_hausdorff(found, 95),
        (first * areas[0] + second * areas[1]) / sum(areas),
        peer.compute_surface_dice_at_tolerance(found, 1),
        peer.compute_surface_dice_at_tolerance(found, 0.5),
    ]


def expected(pred: Any, target: Any, spacing: Any, hand: Any) -> dict[str, float]:
    rows = []
    for a, b in zip(pred.numpy(), target.numpy(), strict=True):
        for c in (1, 2):
            has = (a == c).any(), (b == c).any()
            if all(has):
                rows.append(hand(a == c, b == c, spacing))
            elif any(has):
                rows.append([math.inf] * 3 + [0.0] * 2)
    return dict(zip(NAMES, np.mean(rows, 0) if rows else [math.nan] * 5, strict=True))


@pytest.mark.parametrize("convention", ["pixel", "surfel"])
@pytest.mark.parametrize(
    ("shape", "spacing"), [((17, 20), (1.0, 1.0)), ((17, 20), (1.5, 0.7)), ((9, 8, 10), (2.0, 1.0, 0.5))]
)
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_values(convention: Any, shape: Any, spacing: Any, seed: int) -> None:
    pred, target = blobs(seed, shape), blobs(seed + 1, shape)
    fields = {"num_classes": 3, "holds": "labels", "spacing": spacing, "tolerances": (1.0, 0.5)}
    metric = build(SurfaceDistanceCfg(convention=convention, **fields))  # type: ignore[arg-type]
    metric.update(pred[:1], target[:1])
    metric.update(pred[1:], target[1:])
    report = metric.compute()
    wanted = expected(pred, target, spacing, by_hand if convention == "pixel" else by_peer)
    for name, value in wanted.items():
        assert report[f"surface_distance/{name}"] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True)


def squares(shift: int) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.zeros(1, 32, 32, dtype=torch.int64), torch.zeros(1, 32, 32, dtype=torch.int64)
    a[0, 8:16, 8:16] = 1
    b[0, 8:16, 8 + shift : 16 + shift] = 1
    return a, b


def test_known_values() -> None:
    metric = SurfaceDistance(num_classes=2, holds="labels")
    metric.update(*squares(3))
    found = metric.compute()
    assert [found[f"surface_distance/{name}"] for name in NAMES[:2]] == [3, 3]
    assert found["surface_distance/nsd_1"] == 0.5
    wide = SurfaceDistance(num_classes=2, holds="labels", spacing=(1.0, 2.0))
    wide.update(*squares(3))
    assert wide.compute()["surface_distance/hd"] == 6


def test_missed_objects_and_empty_images() -> None:
    a, _ = squares(0)
    none = torch.zeros_like(a)
    metric, diagonal = (SurfaceDistance(num_classes=2, holds="labels", missed=m) for m in ("inf", "diagonal"))  # type: ignore[arg-type]
    for one in (metric, diagonal):
        one.update(none, none)
        assert math.isnan(one.compute()["surface_distance/hd"])
        assert one.compute().n["surface_distance/hd"] == 0
        one.update(a, none)
        one.update(a, a)
    report = metric.compute()
    assert report["surface_distance/hd"] == math.inf
    assert (report["surface_distance/missed"], report["surface_distance/nsd_1"]) == (0.5, 0.5)
    assert diagonal.compute()["surface_distance/hd95"] == pytest.approx(math.hypot(32, 32) / 2)


@pytest.mark.parametrize("convention", ["pixel", "surfel"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=5)
def test_labels_left_out_are_beyond_the_border(convention: Any, seed: int) -> None:
    pred, target = blobs(seed, (14, 12)), blobs(seed + 1, (14, 12))
    ignoring, cut = (
        build(SurfaceDistanceCfg(num_classes=3, holds="labels", convention=convention, ignore_index=ignore))
        for ignore in ((7, 255), None)
    )
    marked = target.clone()
    marked[:, :4], marked[:, :, -3:] = 255, 7
    ignoring.update(pred, marked)
    cut.update(pred[:, 4:, :-3], target[:, 4:, :-3])
    assert dict(ignoring.compute()) == pytest.approx(dict(cut.compute()), nan_ok=True)


def test_a_label_that_is_not_left_out_has_no_distance() -> None:
    a, b = squares(3)
    b[0, 0] = 255
    metric = SurfaceDistance(num_classes=2, holds="labels")
    metric.update(a, b)
    with pytest.warns(UserWarning, match="32 elements cannot be counted.*0 to 1; ignore_index leaves others out"):
        assert math.isnan(metric.compute()["surface_distance/hd"])


def test_without_scipy_by_distance_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    pred, target = blobs(1, (12, 14)), blobs(2, (12, 14))
    reports = []
    for absent in (False, True):
        if absent:
            monkeypatch.setitem(sys.modules, "scipy.spatial", None)  # type: ignore[arg-type]
        metric = SurfaceDistance(num_classes=3, holds="labels", spacing=(1.0, 1.5))
        metric.update(pred, target)
        reports.append(list(metric.compute().values()))
    assert reports[0] == pytest.approx(reports[1], rel=1e-6)


@pytest.mark.parametrize("convention", ["pixel", "surfel"])
def test_a_map_of_squares_finds_what_a_tree_finds(convention: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pred, target = blobs(1, (9, 12, 14)), blobs(2, (9, 12, 14))
    reports = []
    for absent in (False, True):
        if absent:
            monkeypatch.setitem(sys.modules, "edt", None)  # type: ignore[arg-type]
        metric = SurfaceDistance(num_classes=3, holds="labels", spacing=(1.5, 1.5, 1.5), convention=convention)
        metric.update(pred, target)
        reports.append(list(metric.compute().values()))
    assert reports[0] == pytest.approx(reports[1], rel=1e-12)


def test_one_table_for_all_and_scores_as_input() -> None:
    members: dict[str, Any] = {
        "all": SurfaceDistanceCfg(num_classes=3),
        "hd": HausdorffDistanceCfg(num_classes=3),
        "dice": SurfaceDiceCfg(num_classes=3),
    }
    metrics = Metrics(members)
    pred, target = blobs(5, (16, 16)), blobs(6, (16, 16))
    scores = torch.nn.functional.one_hot(pred, 3).movedim(-1, 1).float()
    junk = torch.cat([scores, torch.full_like(scores, math.nan)])
    metrics.update(junk, target.repeat(2, 1, 1), valid=torch.tensor([True, True, False, False]))
    assert len({id(metric.states) for metric in metrics.values()}) == 1
    report = metrics.compute()
    alone = SurfaceDistance(num_classes=3, holds="labels")
    alone.update(pred, target)
    assert report["hd"] == report["all/hd"] == alone.compute()["surface_distance/hd"]
    assert (report["hd/hd95"], report["dice"]) == (report["all/hd95"], report["all/nsd_1"])
    assert set(report.per_class("hd")) == {"1", "2"}
    assert report.ci("dice").method == "bootstrap"


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="classes"):
        SurfaceDistanceCfg(num_classes=2, classes=(2,))
    metric = SurfaceDistance(num_classes=2, holds="labels", spacing=(1.0, 1.0, 1.0))
    with pytest.raises(ShapeError, match="spacing"):
        metric.update(*squares(0))
    plain = SurfaceDistance(num_classes=2, holds="labels")
    with pytest.raises(ShapeError, match="two or three"):
        plain.update(torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 5, dtype=torch.int64))
    a, b = squares(1)
    b[0, 0, 0] = 9
    plain.update(a, b)
    with pytest.warns(UserWarning, match="1 elements"):
        assert math.isnan(plain.compute()["surface_distance/hd"])
