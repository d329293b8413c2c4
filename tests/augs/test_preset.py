"""Presets: what they do to whole samples, from a key alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltools.augs import GeometryCfg, Norm, PixelCfg, Plan, Preset, Sample, variants
from dltools.errors import ConfigError, ShapeError
from dltools.rng import key

RNG = np.random.default_rng(3)
TASKS: list[Any] = ["classification", "segmentation", "detection", "keypoints"]
STRENGTHS: list[Any] = ["none", "light", "medium", "hard"]
SHAPES = [(40, 52), (40, 52, 1), (40, 52, 3)]


def scene(shape: tuple[int, ...], dtype: type) -> Sample:
    values = RNG.random(shape)
    return {
        "image": (values * 255).astype(np.uint8) if dtype is np.uint8 else values.astype(np.float32),
        "mask": RNG.integers(0, 4, shape[:2]),
        "boxes": np.array([[2, 3, 30, 35], [10, 10, 50, 38]], np.float32),
        "labels": np.array([4, 7]),
        "keypoints": RNG.random((2, 3, 3)) * 30,
        "label": 5,
        "id": 9,
    }


def same(one: Any, other: Any) -> bool:
    return set(one) == set(other) and all(
        np.array_equal(one[k], other[k]) and np.asarray(one[k]).dtype == np.asarray(other[k]).dtype for k in one
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_sample_is_a_function_of_its_key(task: Any, strength: Any, shape: tuple[int, ...], dtype: type) -> None:
    preset = Preset(task=task, strength=strength, size=(32, 24), normalize=None)
    sample: Any = scene(shape, dtype)
    before = {name: np.copy(value) for name, value in sample.items()}
    for value in sample.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    for i in range(4):
        out: Any = preset(sample, key=key(1, i))
        assert same(out, preset(sample, key=key(1, i)))
        plan = preset.plan(sample, key=key(1, i))
        assert Plan.from_json(plan.to_json()) == plan
        assert same(out, preset.apply(sample, Plan.from_json(plan.to_json())))
        assert out["image"].shape == (32, 24, *shape[2:])
        assert out["image"].dtype == dtype
        assert out["mask"].shape == (32, 24)
        assert (out["label"], out["id"], out["labels"].dtype) == (5, 9, np.int64)
        assert len(out["boxes"]) == len(out["labels"]) == len(out["keypoints"])
    assert same(sample, before)
    others = [preset(sample, key=key(1, i))["image"] for i in range(4)]
    assert (strength == "none") == all(np.array_equal(others[0], other) for other in others[1:])


@given(st.integers(0, 2**40))
def test_the_matrix_of_a_plan_says_where_everything_went(seed: int) -> None:
    preset = Preset(
        task="keypoints",
        strength="hard",
        size=(64, 64),
        normalize=None,
        pixel=PixelCfg(),
        geometry=GeometryCfg(hflip=0.5),
    )
    points = np.array([[[20.0, 20.0], [30.0, 22.0]]])
    sample: Sample = {"image": np.zeros((48, 48), np.uint8), "keypoints": points}
    plan = preset.plan(sample, key=key(seed))
    moved = preset.apply(sample, plan)["keypoints"]
    back = np.linalg.inv(plan.matrix) @ np.concatenate([moved[0] + 0.5, np.ones((2, 1))], 1).T
    np.testing.assert_allclose((back[:2] / back[2]).T - 0.5, points[0], atol=1e-8)


def test_mirrors_are_exact_in_every_number() -> None:
    preset = Preset(
        strength="none", size=(100, 100), normalize=None, geometry=GeometryCfg(hflip=1.0), flip_pairs=((1, 2),)
    )
    image = RNG.integers(0, 255, (100, 100, 3), np.uint8)
    keypoints = np.array([[[10.0, 5.0], [20.0, 5.0], [30.0, 5.0]]])
    sample: Sample = {
        "image": image,
        "boxes": np.array([[10.0, 20, 30, 40]]),
        "labels": np.array([3]),
        "keypoints": keypoints,
    }
    out = preset(sample, key=key(0))
    assert np.array_equal(out["image"], image[:, ::-1])
    assert out["boxes"].tolist() == [[70, 20, 90, 40]]
    assert out["keypoints"].tolist() == [[[89, 5], [69, 5], [79, 5]]]
    assert (out["labels"].tolist(), out["labels"].dtype) == ([3], np.int64)


def test_digits_keep_shape_and_dtype_and_are_normalised() -> None:
    image = RNG.random((8, 8, 1)).astype(np.float32)
    plain = Preset(strength="none", size=(8, 8), normalize=Norm(mean=(0.25,), std=(0.5,)))
    out = plain({"image": image, "label": 3}, key=key(0))
    np.testing.assert_allclose(out["image"], (image.astype(np.float64) - 0.25) / 0.5, atol=1e-6)
    assert out["image"].dtype == np.float32
    moved = Preset(
        strength="none", size=(8, 8), normalize=None, geometry=GeometryCfg(rotate=10.0, scale=0.125, translate=0.0875)
    )
    outs = [moved({"image": image}, key=key(0, i))["image"] for i in range(20)]
    assert all(x.shape == (8, 8, 1) and x.dtype == np.float32 for x in outs)
    assert len({x.tobytes() for x in outs}) == 20
    assert all(x.min() >= 0 and x.max() <= image.max() for x in outs)


def test_fits_and_sizes() -> None:
    image = np.full((10, 20), 200, np.uint8)
    for task, fit, filled in [
        ("classification", None, 400),
        ("detection", None, 200),
        ("classification", "cover", 400),
    ]:
        out = Preset(task=task, fit=fit, strength="none", size=(20, 20), normalize=None)({"image": image}, key=key(0))
        assert (out["image"] > 0).sum() == filled


def test_variants_begin_with_the_original() -> None:
    preset = Preset(strength="medium", size=(16, 16), normalize=None)
    sample = scene((16, 16, 3), np.uint8)
    found = variants(preset, sample, 3, key=key(4))
    assert found[0] is sample
    assert [same(found[i], preset(sample, key=key(4).fold(i))) for i in (1, 2)] == [True, True]
    assert variants(preset, sample, 0, key=key(4)) == []


def test_bad_input() -> None:
    with pytest.raises(ShapeError, match="image"):
        Preset()({"mask": np.zeros((4, 4), int)}, key=key(0))
    with pytest.raises(ShapeError, match="1 channels"):
        Preset()({"image": np.zeros((4, 4), np.uint8)}, key=key(0))
    with pytest.raises(ShapeError, match="float64"):
        Preset(normalize=None)({"image": np.zeros((4, 4))}, key=key(0))
    with pytest.raises(ShapeError, match="sizes"):
        Preset(normalize=None)({"image": np.zeros((4, 4), np.uint8), "mask": np.zeros((5, 4), int)}, key=key(0))
    with pytest.raises(ConfigError, match="mask_fill"):
        Preset(normalize=None)({"image": np.zeros((4, 4), np.uint8), "mask": np.zeros((4, 4), np.int8)}, key=key(0))
    for fields in (
        {"flip_pairs": ((0, 1), (1, 2))},
        {"flip_pairs": ((-1, 2),)},
        {"size": (0, 4)},
        {"strength": "extreme"},
    ):
        with pytest.raises(ConfigError):
            Preset(**fields)  # type: ignore[arg-type]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=5
    )
)
def test_plans_survive_json(value: Any) -> None:
    plan = Plan("outer", {"x": value}, (Plan("inner", {"matrix": [[2.0, 0, 1], [0, 1, 0], [0, 0, 1]]}),))
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.matrix.tolist() == [[2, 0, 1], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("text", ["", "3", "{}", "[1]", '{"op": "x", "args": 1, "children": []}', "[" * 100000])
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(ConfigError, match="not a plan"):
        Plan.from_json(text)
