"""Everything in a sample under one matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dltools.augs.base import Sample
from dltools.augs.box import BoxPolicy, Floats, Kept, moved_boxes, moved_points, valid_boxes, visible_boxes
from dltools.augs.elastic import Field
from dltools.augs.matrix import Size
from dltools.augs.resample import Border, resample
from dltools.errors import ConfigError, ShapeError

Array = NDArray[Any]
PER_OBJECT = ("boxes", "labels", "masks", "keypoints")
VISIBLE = BoxPolicy()


def warp(
    sample: Sample,
    matrix: Array,
    size: Size,
    *,
    box: BoxPolicy = VISIBLE,
    flip_pairs: Sequence[tuple[int, int]] = (),
    border: Border = "constant",
    mask_fill: int = 255,
    per_object: Sequence[str] = (),
    field: Field | None = None,
) -> Sample:
    """A sample on a new canvas ``size`` (H, W), under a matrix (3, 3) that acts on pixel edges; image, masks, boxes and
    keypoints move alike.

    Images are interpolated linearly, masks take the nearest pixel; flips, quarter turns and cuts at whole pixels are
    exact. ``box``: which boxes stay; with a box go its row of labels, masks, keypoints and of every key in
    ``per_object``. ``flip_pairs``: rows of keypoints that change places in a mirror image (left and right hand).
    ``border``: 0 (a mask: ``mask_fill``) or the image mirrored at its edge. ``field``: a smooth displacement on top. A
    keypoint off the canvas gets visibility 0 if it has one.

    >>> boxes = np.array([[10.0, 20.0, 30.0, 40.0]])
    >>> mirror = np.array([[-1.0, 0.0, 100.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> warp({"boxes": boxes}, mirror, (100, 100))["boxes"].tolist()
    [[70.0, 20.0, 90.0, 40.0]]

    Raises ShapeError for arrays that do not fit together, ConfigError for a ``mask_fill`` that the mask's dtype cannot
    hold.
    """
    move = _Move(np.asarray(matrix, dtype=np.float64), size, border, field)
    old = sample_size(sample)
    out: dict[str, Any] = dict(sample)
    if "image" in sample:
        out["image"] = move.array(_image(sample["image"]), smooth=True)
    if "mask" in sample:
        out["mask"] = move.array(sample["mask"], fill=_mask_fill(sample["mask"], mask_fill, border))
    names = [name for name in (*PER_OBJECT, *per_object) if name in out]
    kept = None
    if "boxes" in sample:
        _check_lengths(out, names)
        out["boxes"], kept = move.boxes(sample["boxes"], old, box, f"sample {sample.get('id', '')}".rstrip())
        for name in names:
            if name != "boxes":
                out[name] = out[name][kept]
    if "masks" in sample:
        moved = [move.array(mask) for mask in out["masks"]]
        out["masks"] = np.stack(moved) if moved else np.empty((0, *size), sample["masks"].dtype)
    if "keypoints" in sample:
        out["keypoints"] = move.keypoints(out["keypoints"], flip_pairs)
    return cast(Sample, out)


def sample_size(sample: Mapping[str, Any]) -> Size | None:
    """(H, W) of a sample's image and masks; None if it has none of them. Raises ShapeError if they differ."""
    sizes = [sample[name].shape[:2] for name in ("image", "mask") if name in sample]
    if "masks" in sample and len(sample["masks"]):
        sizes.append(sample["masks"].shape[1:])
    if any(size != sizes[0] for size in sizes):
        raise ShapeError(f"sizes (H, W) differ: {sizes}", expected="image, mask and masks of one height and width")
    return sizes[0] if sizes else None


@dataclass(frozen=True)
class _Move:
    """Where everything goes."""

    matrix: Floats
    size: Size
    border: Border
    field: Field | None

    def array(self, array: Array, *, smooth: bool = False, fill: int = 0) -> Array:
        shift = self.field.shift(self.size) if self.field else None
        return resample(array, self.matrix, self.size, smooth=smooth, border=self.border, fill=fill, shift=shift)

    def points(self, points: Floats) -> Floats:
        moved = moved_points(points, self.matrix)
        return self.field.undo(moved, self.size) if self.field else moved

    def boxes(self, boxes: Array, old: Size | None, policy: BoxPolicy, name: str) -> tuple[Array, Kept]:
        """The boxes that stay, and which rows they were."""
        given, kept = valid_boxes(boxes, old, policy, name)
        if self.field:
            corners = given[kept][:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
            edges = np.concatenate([corners + t * (np.roll(corners, -1, 1) - corners) for t in (0, 0.25, 0.5, 0.75)], 1)
            points = self.points(edges.reshape(-1, 2)).reshape(edges.shape)
            moved = np.concatenate([points.min(1), points.max(1)], 1)
        else:
            moved = moved_boxes(given[kept], self.matrix)
        cut, visible = visible_boxes(moved, self.size, policy)
        kept[np.flatnonzero(kept)[~visible]] = False
        return cut[visible].astype(boxes.dtype if boxes.dtype.kind == "f" else np.float32), kept

    def keypoints(self, keypoints: Array, flip_pairs: Sequence[tuple[int, int]]) -> Array:
        """Keypoints name pixel centres: half a pixel is added before the matrix and taken off after it."""
        if keypoints.ndim != 3 or keypoints.shape[2] not in (2, 3):
            raise ShapeError(f"keypoints of shape {keypoints.shape}", expected="(N, K, 2) or (N, K, 3)")
        out = keypoints.astype(keypoints.dtype if keypoints.dtype.kind == "f" else np.float32)
        points = self.points(keypoints[..., :2].reshape(-1, 2) + 0.5)
        out[..., :2] = (points - 0.5).reshape(*keypoints.shape[:2], 2)
        if keypoints.shape[2] == 3:
            inside = ((points >= 0) & (points < self.size[::-1])).all(1).reshape(keypoints.shape[:2])
            out[..., 2] *= inside
        if flip_pairs and np.linalg.det(self.matrix[:2, :2]) < 0:
            order = np.arange(keypoints.shape[1])
            for one, other in flip_pairs:
                order[[one, other]] = other, one
            out = out[:, order]
        return out


def _image(image: Array) -> Array:
    if image.dtype not in (np.uint8, np.float32) or image.ndim not in (2, 3):
        raise ShapeError(
            f"an image of shape {image.shape}, {image.dtype}", expected="(H, W) or (H, W, C), uint8 or float32"
        )
    return image


def _mask_fill(mask: Array, fill: int, border: Border) -> int:
    if border == "constant" and mask.dtype.kind in "iu":
        limits = np.iinfo(mask.dtype)
        if not limits.min <= fill <= limits.max:
            raise ConfigError(
                f"mask_fill is {fill}, the mask is {mask.dtype}", hint="a mask of a wider dtype, or another fill"
            )
    return fill


def _check_lengths(sample: Mapping[str, Any], names: Sequence[str]) -> None:
    lengths = {name: len(sample[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"objects differ in number: {lengths}", expected="one row per object in each")
