"""Average precision of key points, as COCO defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.meters.report import Array, Reading
from dltools.metrics.detection.average_precision import (
    AveragePrecisionOfObjects,
    AveragePrecisionOfObjectsCfg,
    Instances,
    data_of,
    joined,
)
from dltools.metrics.detection.images import NUMBER, Rows
from dltools.states import States


class KeypointAPCfg(AveragePrecisionOfObjectsCfg["KeypointAP"]):
    sigmas: tuple[Positive, ...]
    """How far a point of each kind may be off, as a share of the size of its object."""
    max_dets: tuple[PositiveInt] = (20,)
    """Detections per image."""


class KeypointAP(AveragePrecisionOfObjects[KeypointAPCfg]):
    r"""COCO's average precision with object key point similarity (OKS) in place of IoU.

    OKS is the mean over visible points of :math:`\exp(-d^2 / (2 \, area \, (2 \sigma)^2))`. ``update(pred, target)``
    takes lists of dicts, one per image: ``keypoints`` (n, K, 2 or 3) and ``scores`` (n,); targets have ``keypoints``
    (n, K, 3), whose third number is above 0 where a point is visible, ``area`` (n,) and, if there are any, ``iscrowd``
    (n,) and ``boxes`` (n, 4) as x1 y1 x2 y2, which stand for objects without visible points. Further values are
    ``ap50 ap75 ap_medium ap_large ar ar_medium ar_large``.

    >>> metric = KeypointAP(sigmas=(0.1, 0.1))
    >>> points = torch.tensor([[[0.0, 0.0, 2.0], [50.0, 50.0, 2.0]]])
    >>> target = {"keypoints": points, "area": torch.tensor([2500.0])}
    >>> metric.update([{"keypoints": points, "scores": torch.ones(1)}], [target])
    >>> metric.compute()["keypoint_ap"]
    1.0

    https://cocodataset.org/#keypoints-eval; the same numbers as pycocotools.
    """

    areas: ClassVar[tuple[str, ...]] = ("all", "medium", "large")

    def setup(self) -> None:
        self.max_dets: tuple[int, ...] = self.cfg.max_dets

    def needs(self) -> tuple[Rows, Rows]:
        num = len(self.cfg.sigmas)
        return {"keypoints": ((num, 2), (num, 3))}, {"keypoints": ((num, 3),), "area": NUMBER}

    def read_detections(self, pred: Sequence[Mapping[str, Tensor]]) -> Instances:
        points, image = self._points([{"keypoints": one["keypoints"][..., :2]} for one in pred], 2)
        scores = joined(pred, "scores", torch.float64)[0]
        area = np.ptp(points, axis=1).prod(1) if len(points) else np.zeros(0)
        none = np.zeros(len(points), bool)
        return Instances(image, np.zeros(len(points), np.int64), area, points, scores, none, none)

    def read_objects(self, target: Sequence[Mapping[str, Tensor]]) -> Instances:
        points, image = self._points(target, 3)
        area = joined(target, "area", torch.float64)[0]
        crowd = [{"crowd": one.get("iscrowd", torch.zeros_like(one["area"]))} for one in target]
        is_crowd = joined(crowd, "crowd", torch.bool)[0]
        boxes = [
            {"boxes": one.get("boxes", torch.full((len(one["area"]), 4), torch.nan, device=one["area"].device))}
            for one in target
        ]
        ends = joined(boxes, "boxes", torch.float64, 4)[0].reshape(-1, 2, 2)
        # the area that the size of an error is measured in and the box travel as two rows more
        rows = np.concatenate([points, np.pad(ends, ((0, 0), (0, 0), (0, 1)))], 1)
        rows[:, -1, 2] = area
        seen = (points[..., 2] > 0).any(1)
        return Instances(
            image, np.zeros(len(area), np.int64), area, rows, np.zeros(len(area)), is_crowd, is_crowd | ~seen
        )

    def _points(self, images: Sequence[Mapping[str, Tensor]], width: int) -> tuple[Array, Array]:
        num = len(self.cfg.sigmas)
        flat = [{"keypoints": one["keypoints"].reshape(-1, num * width)} for one in images]
        points, image = joined(flat, "keypoints", torch.float64, num * width)
        return points.reshape(-1, num, width), image

    def likeness(self, dets: Instances, gts: Instances, det: Array, gt: Array) -> Array:
        variance = (2 * np.array(self.cfg.sigmas)) ** 2
        rows, guess = gts.shape[gt], dets.shape[det]
        truth, ends, area = rows[:, :-2, :2], rows[:, -2:, :2], rows[:, -1, 2]
        visible: Array = rows[:, :-2, 2] > 0
        unseen: Array = np.logical_not(visible.any(1))
        off = guess - truth
        side = ends[:, 1] - ends[:, 0]
        low, high = ends[:, 0] - side, ends[:, 0] + 2 * side
        outside = np.maximum(0, low[:, None] - guess) + np.maximum(0, guess - high[:, None])
        off = np.where(unseen[:, None, None], outside, off)
        counts = visible | unseen[:, None]
        e = (off**2).sum(-1) / variance / (area + np.spacing(1))[:, None] / 2
        share: Array = np.where(counts, np.exp(-np.where(counts, e, 0)), 0).sum(1) / counts.sum(1).clip(1)
        share[np.isnan(share)] = 0.0
        return share

    def value(self, s: States) -> Mapping[str, Reading]:
        curves = self.curves(s)
        ap, recall = curves.ap, curves.recall[:, 0]
        values = {"": self.reading(s, ap[:, 0], data=data_of(curves, self.cfg.iou_thresholds))}
        values |= {f"ap{round(100 * t)}": self.reading(s, self.at(curves, t)) for t in (0.5, 0.75)}
        values["ar"] = self.reading(s, recall[:, 0])
        for a, size in list(enumerate(self.areas))[1:]:
            values |= {f"ap_{size}": self.reading(s, ap[:, a]), f"ar_{size}": self.reading(s, recall[:, a])}
        return values
