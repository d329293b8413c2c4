"""The numbers behind none, light, medium and hard, per task."""

from __future__ import annotations

from dataclasses import fields
from typing import Literal, TypeAlias, TypeVar

from dltools.augs.geometry import GeometryCfg
from dltools.augs.pixel import PixelCfg
from dltools.cfgutils.record import Record

Task: TypeAlias = Literal["classification", "segmentation", "detection", "keypoints"]
Strength: TypeAlias = Literal["none", "light", "medium", "hard"]
R = TypeVar("R", bound=Record)

STILL = GeometryCfg(
    hflip=0.0,
    vflip=0.0,
    rot90=0.0,
    crop_scale=(1.0, 1.0),
    crop_ratio=(0.75, 4 / 3),
    rotate=0.0,
    scale=0.0,
    shear=0.0,
    translate=0.0,
    perspective=0.0,
    elastic=0.0,
)
PLAIN = PixelCfg(
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
    gamma=0.0,
    grayscale=0.0,
    blur=0.0,
    noise=0.0,
    jpeg=(100, 100),
    posterize=0.0,
    dropout=0.0,
)
GEOMETRY: dict[Strength, GeometryCfg] = {
    "none": STILL,
    "light": STILL.replace(hflip=0.5, crop_scale=(0.8, 1.0)),
    "medium": STILL.replace(hflip=0.5, crop_scale=(0.6, 1.0), rotate=15.0, scale=0.1, shear=5.0, translate=0.05),
    "hard": STILL.replace(
        hflip=0.5,
        crop_scale=(0.35, 1.0),
        rotate=30.0,
        scale=0.25,
        shear=10.0,
        translate=0.1,
        perspective=0.05,
        elastic=8.0,
    ),
}
PIXEL: dict[Strength, PixelCfg] = {
    "none": PLAIN,
    "light": PLAIN.replace(brightness=0.1, contrast=0.1),
    "medium": PLAIN.replace(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, blur=1.0, noise=0.02),
    "hard": PLAIN.replace(
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.1,
        blur=1.5,
        noise=0.05,
        jpeg=(50, 95),
        posterize=0.1,
        grayscale=0.1,
        dropout=0.1,
    ),
}
DETECTION_ROTATE: dict[Strength, float] = {"none": 0.0, "light": 0.0, "medium": 5.0, "hard": 10.0}


def in_force(
    task: Task, strength: Strength, geometry: GeometryCfg, pixel: PixelCfg, mirrors: bool
) -> tuple[GeometryCfg, PixelCfg]:
    """Every number of a preset: those given, and the table's where None stands.

    ``mirrors``: keypoints have pairs that change places, so that mirror images make sense.
    """
    table, values = GEOMETRY[strength], PIXEL[strength]
    if task == "detection":
        table = table.replace(rotate=DETECTION_ROTATE[strength], shear=0.0, perspective=0.0, elastic=0.0)
    if task == "keypoints":
        table = table.replace(elastic=0.0, hflip=table.hflip if mirrors else 0.0)
    if task in ("detection", "segmentation"):
        values = values.replace(dropout=0.0)
    return _filled(geometry, table), _filled(pixel, values)


def _filled(given: R, table: R) -> R:
    """The record given, with the table's numbers for its Nones."""
    names = [field.name for field in fields(type(given))]  # type: ignore[arg-type]
    return given.replace(**{name: getattr(table, name) for name in names if getattr(given, name) is None})
