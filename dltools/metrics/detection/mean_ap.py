"""Mean average precision of boxes or masks, as COCO defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.errors import ConfigError
from dltools.functional.boxes import BoxFormat, box_convert
from dltools.meters.report import Array, Reading
from dltools.metrics.detection.average_precision import (
    AveragePrecisionOfObjects,
    AveragePrecisionOfObjectsCfg,
    Instances,
    data_of,
    joined,
)
from dltools.metrics.detection.images import BOX, NUMBER, Rows
from dltools.states import States


class MeanAveragePrecisionCfg(AveragePrecisionOfObjectsCfg["MeanAveragePrecision"]):
    num_classes: PositiveInt
    box_format: BoxFormat = "xyxy"
    max_dets: tuple[PositiveInt, ...] = (1, 10, 100)
    """Detections per image and class, rising: for recall; the last for precision."""
    masks: bool = False
    """Compare ``masks``, bool (n, H, W), in place of ``boxes``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.max_dets or list(self.max_dets) != sorted(set(self.max_dets)):
            raise ConfigError(f"max_dets is {self.max_dets}", expected="rising numbers, at least one")


class MeanAveragePrecision(AveragePrecisionOfObjects[MeanAveragePrecisionCfg]):
    """COCO's average precision: mean over classes, thresholds and 101 recalls.

    ``update(pred, target)`` takes lists of dicts, one per image: ``boxes`` (n, 4) in pixels (or ``masks``), ``scores``
    and ``labels`` (n,); targets without scores, with ``area`` and ``iscrowd`` (n,) where they are known. Further values
    are ``ap50 ap75 ap_small ap_medium ap_large`` and the mean recalls ``ar1 ar10 ar100 ar_small ar_medium ar_large``.

    >>> metric = MeanAveragePrecision(num_classes=1)
    >>> box, label = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([0])
    >>> metric.update([{"boxes": box, "scores": torch.ones(1), "labels": label}], [{"boxes": box, "labels": label}])
    >>> report = metric.compute()
    >>> report["mean_average_precision"], report["mean_average_precision/ar1"]
    (1.0, 1.0)

    Lin et al. 2014, arXiv:1405.0312; the same numbers as pycocotools.
    """

    def setup(self) -> None:
        self.max_dets: tuple[int, ...] = self.cfg.max_dets
        self.num_classes: int = self.cfg.num_classes

    def needs(self) -> tuple[Rows, Rows]:
        shape: Rows = {"masks": ()} if self.cfg.masks else {"boxes": BOX}
        return {**shape, "labels": NUMBER}, {**shape, "labels": NUMBER}

    def read_detections(self, pred: Sequence[Mapping[str, Tensor]]) -> Instances:
        return self._read(pred, joined(pred, "scores", torch.float64)[0])

    def read_objects(self, target: Sequence[Mapping[str, Tensor]]) -> Instances:
        return self._read(target, None)

    def _read(self, images: Sequence[Mapping[str, Tensor]], scores: Array | None) -> Instances:
        label, image = joined(images, "labels", torch.int64)
        if self.cfg.masks:
            flat = [
                mask.reshape(-1) for one in images for mask in np.asarray(one["masks"].detach().cpu().numpy(), bool)
            ]
            shape, area = np.empty(len(flat), object), np.array([mask.sum() for mask in flat], np.float64)
            shape[:] = flat
        else:
            boxes = torch.from_numpy(joined(images, "boxes", torch.float64, 4)[0])
            shape = box_convert(boxes, self.cfg.box_format, "xywh").numpy()
            area = shape[:, 2] * shape[:, 3]
        if scores is not None:
            plain = np.zeros(len(label), bool)
            return Instances(image, label, area, shape, scores, plain, plain)
        known = [
            one if "area" in one else {"area": torch.from_numpy(area[image == i]).to(one["labels"].device)}
            for i, one in enumerate(images)
        ]
        crowd = [
            {"crowd": one.get("iscrowd", torch.zeros(len(one["labels"]), device=one["labels"].device))}
            for one in images
        ]
        is_crowd = joined(crowd, "crowd", torch.bool)[0]
        area = joined(known, "area", torch.float64)[0]
        return Instances(image, label, area, shape, np.zeros(len(label)), is_crowd, is_crowd)

    def likeness(self, dets: Instances, gts: Instances, det: Array, gt: Array) -> Array:
        inter = (common_pixels if self.cfg.masks else common_area)(dets, gts, det, gt)
        own, other = extent(dets.shape)[det], extent(gts.shape)[gt]
        union = np.where(gts.crowd[gt], own, own + other - inter)
        return np.divide(inter, union, out=np.zeros_like(inter), where=inter > 0)

    def value(self, s: States) -> Mapping[str, Reading]:
        curves = self.curves(s)
        ap, name = curves.ap, [str(c) for c in range(self.num_classes)]
        by_class = {c: self.reading(s, x).value for c, x in zip(name, ap[:, 0], strict=True)}
        data = data_of(curves, self.cfg.iou_thresholds)
        values = {"": self.reading(s, ap[:, 0], per_class=by_class, data=data)}
        values |= {f"ap{round(100 * t)}": self.reading(s, self.at(curves, t)) for t in (0.5, 0.75)}
        sizes = list(enumerate(self.areas))[1:]
        values |= {f"ap_{size}": self.reading(s, ap[:, a]) for a, size in sizes}
        values |= {f"ar{most}": self.reading(s, curves.recall[:, m, 0]) for m, most in enumerate(self.max_dets)}
        return values | {f"ar_{size}": self.reading(s, curves.recall[:, -1, a]) for a, size in sizes}


def extent(shape: Array) -> Array:
    """Area of boxes (x, y, width, height), or number of pixels of masks; (n,)."""
    if shape.ndim == 1:
        return np.array([np.count_nonzero(mask) for mask in shape], np.float64)
    area: Array = shape[:, 2] * shape[:, 3]
    return area


def common_area(dets: Instances, gts: Instances, det: Array, gt: Array) -> Array:
    """Area that boxes of pairs share, (P,); rounded as pycocotools does it."""
    a, b = dets.shape[det], gts.shape[gt]
    sides = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    area: Array = np.where((sides > 0).all(1), sides[:, 0] * sides[:, 1], 0.0)
    return area


def common_pixels(dets: Instances, gts: Instances, det: Array, gt: Array) -> Array:
    """Pixels that masks of pairs share, (P,), by one product of matrices per image."""
    inter, image = np.zeros(len(det)), dets.image[det]
    for one in np.unique(image):
        rows = np.flatnonzero(image == one)
        a, at_a = np.unique(det[rows], return_inverse=True)
        b, at_b = np.unique(gt[rows], return_inverse=True)
        left, right = (np.stack([*masks]).astype(np.float32) for masks in (dets.shape[a], gts.shape[b]))
        inter[rows] = (left @ right.T)[at_a, at_b]
    return inter


MAP = MeanAveragePrecision
MAPCfg = MeanAveragePrecisionCfg
