from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dltools.augs.base import Sample
from dltools.augs.box import BoxPolicy
from dltools.augs.elastic import Field
from dltools.augs.moving import warp
from dltools.errors import ConfigError, ShapeError
from dltools.rng import key

MIRROR = np.array([[-1.0, 0.0, 100.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
TURN = np.array([[0.8, -0.6, 30.0], [0.6, 0.8, -20.0], [0.0, 0.0, 1.0]])
RNG = np.random.default_rng(2)


def scene(boxes: Any, **more: Any) -> Sample:
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    sample: Sample = {"image": np.zeros((100, 100, 3), np.uint8), "boxes": boxes, "labels": np.arange(len(boxes))}
    return {**sample, **more}


def test_a_mirror_moves_boxes_by_edges_and_keypoints_by_centres() -> None:
    keypoints = np.array([[[10.0, 5.0, 2.0], [20.0, 5.0, 1.0], [30.0, 5.0, 0.0]]])
    out = warp(scene([10, 20, 30, 40], keypoints=keypoints), MIRROR, (100, 100), flip_pairs=((1, 2),))
    assert out["boxes"].tolist() == [[70, 20, 90, 40]]
    assert out["labels"].dtype == np.int64
    assert out["boxes"].dtype == np.float32
    assert out["keypoints"].tolist() == [[[89, 5, 2], [69, 5, 0], [79, 5, 1]]]


@pytest.mark.parametrize(("least", "left"), [(0.2, [[40, 40, 50, 50]]), (0.3, [])])
def test_boxes_stay_while_enough_is_visible(least: float, left: list[list[int]]) -> None:
    out = warp(scene([40, 40, 60, 60]), np.eye(3), (50, 50), box=BoxPolicy(min_visibility=least))
    assert out["boxes"].tolist() == left
    assert out["boxes"].shape == (len(left), 4)
    assert len(out["labels"]) == len(left)


def test_what_belongs_to_a_box_goes_with_it() -> None:
    boxes = [[0, 0, 10, 10], [60, 60, 90, 90], [20, 20, 30, 30]]
    sample = scene(boxes, masks=np.stack([np.full((100, 100), i, np.uint8) for i in range(3)]))
    sample = {**sample, "keypoints": np.arange(6.0).reshape(3, 1, 2), "names": np.array(["a", "b", "c"])}  # type: ignore[typeddict-unknown-key]
    out: Any = warp(sample, np.eye(3), (50, 50), per_object=("names",))
    assert out["labels"].tolist() == [0, 2]
    assert out["masks"].shape == (2, 50, 50)
    assert out["masks"][:, 0, 0].tolist() == [0, 2]
    assert out["keypoints"][:, 0].tolist() == [[0, 1], [4, 5]]
    assert out["names"].tolist() == ["a", "c"]
    with pytest.raises(ShapeError, match="number"):
        warp({**sample, "labels": np.arange(2)}, np.eye(3), (50, 50))


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ([np.nan, 0, 5, 5], None),
        ([0, 0, np.inf, 5], None),
        ([9, 9, 5, 20], None),
        ([5, 5, 5, 20], None),
        ([-5, 10, 20, 120], [0, 10, 20, 100]),
        ([120, 0, 130, 9], None),
    ],
)
def test_invalid_boxes(box: list[float], cut: list[float] | None) -> None:
    sample = scene([[1, 1, 9, 9], box], id=7)
    policies = {name: BoxPolicy(on_invalid=name) for name in ("clip", "drop", "raise")}
    clipped = warp(sample, np.eye(3), (100, 100), box=policies["clip"])
    assert clipped["boxes"].tolist() == [[1, 1, 9, 9], *([cut] if cut else [])]
    assert clipped["labels"].tolist() == ([0, 1] if cut else [0])
    assert warp(sample, np.eye(3), (100, 100), box=policies["drop"])["labels"].tolist() == [0]
    with pytest.raises(ShapeError, match=r"box 1 of sample 7"):
        warp(sample, np.eye(3), (100, 100), box=policies["raise"])


def test_no_boxes_stay_no_boxes() -> None:
    out = warp(scene([], keypoints=np.zeros((0, 4, 3)), masks=np.zeros((0, 100, 100), bool)), TURN, (64, 64))
    assert out["boxes"].shape == (0, 4)
    assert out["masks"].shape == (0, 64, 64)
    assert out["keypoints"].shape == (0, 4, 3)


def test_boxes_masks_and_keypoints_stay_together_under_a_turn_and_a_displacement() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[30:60, 40:70] = 1
    sample = scene([40, 30, 70, 60], mask=mask, masks=mask[None].astype(bool), keypoints=np.array([[[54.5, 44.5]]]))
    for field in (None, Field(key(3), 4.0)):
        out = warp(sample, TURN, (100, 120), field=field)
        assert np.array_equal(out["masks"][0], out["mask"] == 1)
        rows, cols = np.nonzero(out["masks"][0])
        tight = np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1])
        assert np.abs(tight - out["boxes"][0]).max() <= 1.5
        assert np.abs(out["keypoints"][0, 0] - [cols.mean(), rows.mean()]).max() < 2
        assert out["mask"][0, 119] == 255


def test_a_keypoint_off_the_canvas_is_invisible() -> None:
    keypoints = np.array([[[49.0, 49.0, 2.0], [50.0, 3.0, 2.0], [-1.0, 3.0, 1.0]]])
    out = warp({"keypoints": keypoints, "image": np.zeros((100, 100), np.float32)}, np.eye(3), (50, 50))
    assert out["keypoints"][0, :, 2].tolist() == [2, 0, 0]


def test_the_input_is_never_written_to() -> None:
    sample = scene([[1, 1, 9, 9], [-5, 5, 5, 50]], mask=np.ones((100, 100), np.int64), keypoints=np.ones((2, 1, 3)))
    before = {name: np.copy(value) for name, value in sample.items()}
    for matrix in (np.eye(3), MIRROR, TURN):
        out: Any = warp(sample, matrix, (100, 100))
        for name in before:
            out[name][...] = 0
    assert all(np.array_equal(before[name], value) for name, value in sample.items())


def test_what_does_not_fit_together() -> None:
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(ShapeError, match="sizes"):
        warp({"image": image, "mask": np.zeros((8, 9), np.uint8)}, np.eye(3), (8, 8))
    with pytest.raises(ShapeError, match="float64"):
        warp({"image": image.astype(np.float64)}, np.eye(3), (8, 8))
    with pytest.raises(ConfigError, match="mask_fill"):
        warp({"mask": image.astype(np.int8)}, np.eye(3), (8, 8))
    with pytest.raises(ShapeError, match=r"\(N, 4\)"):
        warp({"boxes": np.zeros((2, 5))}, np.eye(3), (8, 8))
    with pytest.raises(ShapeError, match="keypoints"):
        warp({"keypoints": np.zeros((2, 5))}, np.eye(3), (8, 8))


def test_boxes_behind_the_horizon_are_dropped() -> None:
    tilt = np.array([[1.0, 0, 0], [0, 1.0, 0], [-0.02, 0, 1.0]])  # the horizon is x = 50
    assert warp(scene([[0, 0, 20, 20], [60, 0, 90, 20]]), tilt, (100, 100))["labels"].tolist() == [0]
