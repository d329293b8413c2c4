"""Presets: the augmentations of a task at a strength, made of one matrix, one interpolation and one pass over the
values."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt

from dltools.augs.base import JSON, Aug, AugCfg, Plan, Sample, Samples
from dltools.augs.box import BoxPolicy
from dltools.augs.elastic import Field
from dltools.augs.geometry import DRAWS as MATRIX_DRAWS
from dltools.augs.geometry import GeometryCfg, draw_matrix
from dltools.augs.matrix import Fit
from dltools.augs.moving import sample_size, warp
from dltools.augs.norm import IMAGENET, Norm, normalized
from dltools.augs.pixel import DRAWS as PIXEL_DRAWS
from dltools.augs.pixel import PixelCfg, change_pixels, draw_pixels
from dltools.augs.strengths import PLAIN, STILL, Strength, Task, in_force
from dltools.errors import ConfigError, ShapeError
from dltools.rng import Key

Side = Annotated[int, Gt(0)]


class PresetCfg(AugCfg["Preset"]):
    """What is usual for a task."""

    task: Task = "classification"
    strength: Strength = "light"
    """none: resize and normalise only."""
    size: tuple[Side, Side] = (256, 256)
    """Height and width of the result."""
    fit: Fit | None = None
    """How an image of another shape is brought to that size; None: contain for detection, else stretch."""
    normalize: Norm | None = IMAGENET
    """None leaves dtype and values as they are."""
    geometry: GeometryCfg = GeometryCfg()
    pixel: PixelCfg = PixelCfg()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    """Rows of keypoints that change places in a mirror image."""
    box: BoxPolicy = BoxPolicy()
    per_object: tuple[str, ...] = ()
    """Further keys with one row per box."""

    def __post_init__(self) -> None:
        rows = [row for pair in self.flip_pairs for row in pair]
        if len(set(rows)) < len(rows) or min(rows, default=0) < 0:
            raise ConfigError(
                f"flip_pairs is {self.flip_pairs}", expected="each row of the keypoints in one pair at most"
            )


class Preset(Aug[PresetCfg]):
    """Crop, mirror, turn, scale, shear, shift, tilt as one matrix and one interpolation; then brightness to dropout;
    then normalisation.

    ``geometry`` and ``pixel`` hold the numbers in force: the config's, and the strength's where it has None.

    >>> from dltools.rng import key
    >>> preset = Preset(size=(4, 4), strength="none", normalize=Norm(mean=(0.5,), std=(0.5,)))
    >>> preset({"image": np.ones((8, 8, 1), np.float32), "label": 3}, key=key(0))["image"][0, 0].tolist()
    [1.0]
    >>> Preset(strength="medium", geometry=GeometryCfg(rotate=5.0)).geometry.rotate
    5.0

    Raises ShapeError for a sample without image, or whose arrays do not fit together or the normalisation.
    """

    geometry: GeometryCfg
    pixel: PixelCfg

    def setup(self) -> None:
        """Fill in the strength's numbers."""
        cfg = self.cfg
        self.geometry, self.pixel = in_force(
            cfg.task, cfg.strength, cfg.geometry, cfg.pixel, mirrors=bool(cfg.flip_pairs)
        )
        self._fit: Fit = cfg.fit or ("contain" if cfg.task == "detection" else "stretch")
        still = STILL.replace(
            border=cfg.geometry.border, mask_fill=cfg.geometry.mask_fill, crop_ratio=self.geometry.crop_ratio
        )
        self._moves, self._changes = self.geometry != still, self.pixel != PLAIN

    @cached_property
    def deterministic(self) -> Preset:
        """The same size and normalisation, and nothing random: for evaluation."""
        border = GeometryCfg(border=self.geometry.border, mask_fill=self.geometry.mask_fill)
        return Preset(self.cfg.replace(strength="none", geometry=border, pixel=PixelCfg()))

    def plan(self, sample: Sample, *, key: Key, source: Samples | None = None) -> Plan:
        """Draw the matrix and the changes of values."""
        size = sample_size(sample)
        if size is None or "image" not in sample:
            raise ShapeError(f"a sample with {sorted(sample)}", expected="an image")
        num_draws = MATRIX_DRAWS + (PIXEL_DRAWS if self._changes else 0)
        draws = key.uniforms(num_draws) if self._moves or self._changes else [0.5] * num_draws
        canvas = self.cfg.size
        matrix = draw_matrix(self.geometry, size, canvas, self._fit, draws[:MATRIX_DRAWS])
        args: dict[str, Any] = {"matrix": matrix}
        if self.geometry.elastic:
            args["elastic"] = {"pixels": self.geometry.elastic, "key": key.fold("elastic").hex()}
        if self._changes:
            color = np.shape(sample["image"])[2:] == (3,)
            pixel: dict[str, JSON] = draw_pixels(self.pixel, canvas, color, draws[MATRIX_DRAWS:], key)
            args["pixel"] = pixel
        return Plan("preset", args)

    def apply(self, sample: Sample, plan: Plan, *, source: Samples | None = None) -> Sample:
        """Move the sample, change its values, normalise."""
        args: dict[str, Any] = dict(plan.args)
        elastic = args.get("elastic")
        out = warp(
            sample,
            np.array(args["matrix"]),
            self.cfg.size,
            box=self.cfg.box,
            flip_pairs=self.cfg.flip_pairs,
            border=self.geometry.border,
            mask_fill=self.geometry.mask_fill,
            per_object=self.cfg.per_object,
            field=Field(Key.from_hex(elastic["key"]), elastic["pixels"]) if elastic else None,
        )
        if "image" in out:
            image = change_pixels(out["image"], args.get("pixel", {}))
            out["image"] = normalized(image, self.cfg.normalize) if self.cfg.normalize else image
        return out
