"""The table of presets, number by number."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from dltools.augs import GeometryCfg, PixelCfg, Preset

NOTHING: dict[str, Any] = dict.fromkeys(
    "hflip vflip rot90 rotate shear scale translate perspective elastic brightness contrast saturation hue gamma "
    "grayscale blur noise posterize dropout".split(),
    0.0,
) | {"crop_scale": (1.0, 1.0), "jpeg": (100, 100)}
LIGHT = {"hflip": 0.5, "crop_scale": (0.8, 1.0), "brightness": 0.1, "contrast": 0.1}
MEDIUM = {
    "hflip": 0.5,
    "crop_scale": (0.6, 1.0),
    "rotate": 15.0,
    "scale": 0.1,
    "shear": 5.0,
    "translate": 0.05,
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.2,
    "hue": 0.05,
    "blur": 1.0,
    "noise": 0.02,
}
HARD = {
    "hflip": 0.5,
    "crop_scale": (0.35, 1.0),
    "rotate": 30.0,
    "scale": 0.25,
    "shear": 10.0,
    "translate": 0.1,
    "perspective": 0.05,
    "elastic": 8.0,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
    "blur": 1.5,
    "noise": 0.05,
    "jpeg": (50, 95),
    "posterize": 0.1,
    "grayscale": 0.1,
    "dropout": 0.1,
}
TABLE: dict[Any, dict[str, Any]] = {"none": {}, "light": LIGHT, "medium": MEDIUM, "hard": HARD}
ROTATE = {"none": 0.0, "light": 0.0, "medium": 5.0, "hard": 10.0}
TASKS: list[Any] = ["classification", "segmentation", "detection", "keypoints"]


def in_force(preset: Preset) -> dict[str, Any]:
    numbers = {**asdict(preset.geometry), **asdict(preset.pixel)}  # type: ignore[call-overload]
    assert numbers.pop("border") == "constant"
    assert numbers.pop("mask_fill") == 255
    numbers.pop("crop_ratio")
    return numbers


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("strength", list(TABLE))
def test_numbers_in_force(task: Any, strength: Any) -> None:
    expected = NOTHING | TABLE[strength]
    if task == "detection":
        expected |= {"rotate": ROTATE[strength], "shear": 0.0, "perspective": 0.0, "elastic": 0.0, "dropout": 0.0}
    if task == "segmentation":
        expected |= {"dropout": 0.0}
    if task == "keypoints":
        expected |= {"elastic": 0.0, "hflip": 0.0}
    assert in_force(Preset(task=task, strength=strength)) == expected
    if task == "keypoints":
        assert (
            in_force(Preset(task=task, strength=strength, flip_pairs=((0, 1),)))["hflip"]
            == (NOTHING | TABLE[strength])["hflip"]
        )


def test_what_is_given_replaces_the_table_and_the_rest_stays() -> None:
    preset = Preset(strength="hard", geometry=GeometryCfg(rotate=5.0, elastic=0.0), pixel=PixelCfg(noise=0.5))
    assert in_force(preset) == NOTHING | HARD | {"rotate": 5.0, "elastic": 0.0, "noise": 0.5}


@pytest.mark.parametrize("task", TASKS)
def test_deterministic_is_strength_none(task: Any) -> None:
    given = Preset(task=task, strength="hard", geometry=GeometryCfg(rotate=5.0, vflip=1.0), pixel=PixelCfg(noise=0.5))
    assert in_force(given.deterministic) == NOTHING
    assert given.deterministic.cfg.size == given.cfg.size
