from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.errors import ShapeError
from dltools.metrics import ClassStats, Seen


@given(st.lists(st.integers(0, 9), max_size=30))
def test_seen(numbers: list[int]) -> None:
    seen = Seen(size=10)
    for part in (numbers[:7], numbers[7:]):
        seen.update(index=torch.tensor(part, dtype=torch.int64))
    report = seen.compute()
    distinct = len(set(numbers))
    assert report["seen/num_seen"] == distinct
    assert report["seen/num_duplicates"] == len(numbers) - distinct
    assert report["seen/num_missing"] == 10 - distinct


def test_seen_leaves_out_what_is_padded_and_reports_what_is_not_there() -> None:
    seen = Seen(size=4)
    seen.update(index=torch.tensor([0, 1, 0]), valid=torch.tensor([True, True, False]))
    assert seen.compute()["seen/num_duplicates"] == 0
    seen.update(index=torch.tensor([4, -1]))
    with pytest.warns(UserWarning, match=r"2 elements.*0 to 3"):
        assert math.isnan(seen.compute()["seen/num_seen"])
    with pytest.raises(ShapeError, match="index"):
        seen.update(index=torch.tensor([0.5]))


def by_hand(images: list[list[int]], num: int) -> dict[str, Any]:
    counts, pairs = np.zeros(num, int), np.zeros((num, num), int)
    for labels in images:
        for c in labels:
            counts[c] += 1
        for a in set(labels):
            for b in set(labels):
                pairs[a, b] += 1
    return {"counts": counts, "images_with": pairs.diagonal(), "cooccurrence": pairs}


def check(stats: ClassStats, images: list[list[int]], num: int) -> None:
    report, expected = stats.compute(), by_hand(images, num)
    for name, value in expected.items():
        np.testing.assert_array_equal(report.data("class_stats")[name], value)
    present = expected["counts"][expected["counts"] > 0]
    imbalance = present.max() / present.min() if len(present) else math.nan
    assert report["class_stats"] == pytest.approx(imbalance, nan_ok=True)
    assert report["class_stats/imbalance"] == pytest.approx(imbalance, nan_ok=True)


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_pixels_and_samples(seed: int, num: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.integers(-1, num, (6, 2, 3))
    stats = ClassStats(num_classes=num, by="pixel", ignore_index=-1)
    stats.update(target=torch.from_numpy(target[:2]))
    stats.update(target=torch.from_numpy(target[2:]), valid=torch.tensor([True, True, False, True]))
    kept = np.delete(target, 4, 0)
    check(stats, [[int(c) for c in image.ravel() if c >= 0] for image in kept], num)
    assert stats.compute().n["class_stats"] == 5

    single = ClassStats(num_classes=num, ignore_index=-1)
    single.update(target=torch.from_numpy(target[:, 0, 0]))
    check(single, [[int(c)] if c >= 0 else [] for c in target[:, 0, 0]], num)

    many = rng.integers(-1, 2, (5, num))
    labels = ClassStats(num_classes=num, ignore_index=-1)
    labels.update(target=torch.from_numpy(many))
    check(labels, [list(np.flatnonzero(row == 1)) for row in many], num)


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=6))
def test_boxes(images: list[list[int]]) -> None:
    stats = ClassStats(num_classes=4, by="box")
    rows = [torch.tensor(labels, dtype=torch.int64) for labels in images]
    if rows:
        stats.update(target=[{"labels": row} if i % 2 else row for i, row in enumerate(rows)])
    check(stats, images, 4)


def test_nothing_counted() -> None:
    stats = ClassStats(num_classes=2, by="pixel", ignore_index=9)
    stats.update(target=torch.full((3, 4), 9))
    report = stats.compute()
    assert math.isnan(report["class_stats"])
    assert report.n["class_stats"] == 0


def test_labels_out_of_range_and_wrong_shapes() -> None:
    stats = ClassStats(num_classes=2)
    stats.update(target=torch.tensor([0, 5]))
    with pytest.warns(UserWarning, match=r"1 elements.*0 to 1"):
        assert math.isnan(stats.compute()["class_stats"])
    for target in (torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2)):
        with pytest.raises(ShapeError, match="target"):
            stats.update(target=target)
    with pytest.raises(ShapeError, match="one per image"):
        ClassStats(num_classes=2, by="box").update(target=torch.zeros(3))
