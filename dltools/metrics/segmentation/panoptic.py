"""Panoptic quality: segments found, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegativeInt
from dltools.errors import ConfigError, ShapeError
from dltools.meters.report import Array, Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.states import State, States, Sum


class PanopticQualityCfg(MetricCfg["PanopticQuality"]):
    """Which classes there are."""

    things: tuple[NonNegativeInt, ...]
    """Classes whose instances are told apart."""
    stuffs: tuple[NonNegativeInt, ...] = ()
    """Classes that are one segment per image."""

    def __post_init__(self) -> None:
        every = (*self.things, *self.stuffs)
        if not every or len(set(every)) != len(every):
            raise ConfigError(f"things {self.things}, stuffs {self.stuffs}", expected="each class once, at least one")


class PanopticQuality(Metric[PanopticQualityCfg]):
    r"""Panoptic quality :math:`\sum_{TP} IoU / (TP + FP/2 + FN/2)`, mean over classes; its factors are ``sq``, ``rq``.

    pred and target are integers (N, *S, 2): class and instance of each pixel. A class that is neither a thing nor stuff
    is void: void pixels of the target do not count, and a predicted segment that lies mostly in them is left out. Two
    segments of a class are a pair if their IoU is above 1/2.

    >>> target = torch.tensor([[[[0, 0], [0, 0], [1, 1], [1, 2]]]])
    >>> pred = torch.tensor([[[[0, 0], [0, 0], [1, 1], [0, 0]]]])
    >>> metric = PanopticQuality(things=(1,), stuffs=(0,))
    >>> metric.update(pred, target)
    >>> report = metric.compute()
    >>> report["panoptic_quality"], report["panoptic_quality/sq"], report["panoptic_quality/rq"]
    (0.6666666666666666, 0.8333333333333333, 0.8333333333333333)

    Kirillov et al. 2018, arXiv:1801.00868.
    """

    higher: ClassVar[bool | None] = True

    def setup(self) -> None:
        self.classes: tuple[int, ...] = (*self.cfg.things, *self.cfg.stuffs)

    def layout(self) -> Mapping[str, State]:
        """Per class."""
        number = len(self.classes)
        return {
            "iou": Sum(number, dtype=torch.float64),
            "tp": Sum(number),
            "fp": Sum(number),
            "fn": Sum(number),
            "images": Sum(),
        }

    def check(self, pred: Tensor, target: Tensor) -> None:
        if pred.shape != target.shape or pred.ndim < 3 or pred.shape[-1] != 2 or pred.is_floating_point():
            given = f"pred {tuple(pred.shape)} {pred.dtype}, target {tuple(target.shape)} {target.dtype}"
            raise ShapeError(given, expected="integers (N, *S, 2): class and instance")

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        found = np.zeros((4, len(self.classes)))
        for counts, a, b in zip(valid.tolist(), pred.cpu().numpy(), target.cpu().numpy(), strict=True):
            if counts:
                found += self.image(self.segments(a), self.segments(b))
        sums = torch.from_numpy(found).to(s.device)
        s.add("iou", sums[0])
        for name, x in zip(("tp", "fp", "fn"), sums[1:].long(), strict=True):
            s[name] += x
        s["images"] += valid.sum()

    def segments(self, x: Array) -> Array:
        """A number per pixel: one for each segment, its class's place on top; -1 is void."""
        kind, instance = x.reshape(-1, 2).T.astype(np.int64)
        place = np.full(len(kind), -1)
        for i, c in enumerate(self.classes):
            place[kind == c] = i
        apart = np.where(place < len(self.cfg.things), instance, 0)
        return np.where(place < 0, -1, place * 2**32 + apart)

    def image(self, pred: Array, target: Array) -> Array:
        """Sum of IoU, pairs, segments of pred and of target without a pair; by class, (4, C)."""
        pair, common = np.unique(np.stack([pred, target]), axis=1, return_counts=True)
        areas = [dict(zip(*map(list, np.unique(x, return_counts=True)), strict=True)) for x in (pred, target)]
        in_void = {p: n for (p, t), n in zip(pair.T.tolist(), common.tolist(), strict=True) if t == -1}
        out = np.zeros((4, len(self.classes)))
        paired: tuple[set[int], set[int]] = set(), set()
        for (p, t), n in zip(pair.T.tolist(), common.tolist(), strict=True):
            if p == -1 or t == -1 or p >> 32 != t >> 32:
                continue
            iou = n / (areas[0][p] + areas[1][t] - n - in_void.get(p, 0))
            if iou > 0.5:
                out[:2, p >> 32] += iou, 1
                paired[0].add(p)
                paired[1].add(t)
        for p, area in areas[0].items():
            if p != -1 and p not in paired[0] and in_void.get(p, 0) <= area / 2:
                out[2, p >> 32] += 1
        for t in areas[1]:
            if t != -1 and t not in paired[1]:
                out[3, t >> 32] += 1
        return out

    def value(self, s: States) -> Mapping[str, Reading]:
        iou, tp, fp, fn = (s[name].double().numpy() for name in ("iou", "tp", "fp", "fn"))
        size = tp + (fp + fn) / 2
        there = size > 0
        rq = np.divide(tp, size, out=np.full(len(size), np.nan), where=there)
        sq = np.divide(iou, tp, out=np.where(there, 0.0, np.nan), where=tp > 0)
        n = int(s["images"])

        def reading(x: Array) -> Reading:
            by_class = {str(c): float(one) for c, one in zip(self.classes, x, strict=True)}
            return Reading(float(x[there].mean()) if there.any() else np.nan, n=n, per_class=by_class)

        return {"": reading(sq * rq), "sq": reading(sq), "rq": reading(rq)}
