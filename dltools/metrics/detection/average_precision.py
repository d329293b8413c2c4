"""What mean average precision of boxes and of key points share: a table of matched detections."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from annotated_types import Gt, Le
from torch import Tensor

from dltools.dist import rank
from dltools.errors import ConfigError
from dltools.meters.report import Array, Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.detection.coco_accumulate import RECALLS, Curves, Matched, accumulate
from dltools.metrics.detection.coco_match import Objects, Pairs, candidates, match, place_in_group
from dltools.metrics.detection.images import NUMBER, Rows, check_images
from dltools.metrics.invalid import invalid, note
from dltools.states import State, States, Sum, Table
from dltools.states.counted import BYTES

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="AveragePrecisionOfObjectsCfg[Any]")
COCO = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Of objects in pixels, both ends included."""


class AveragePrecisionOfObjectsCfg(MetricCfg[T_co]):
    """When a detection is right."""

    iou_thresholds: tuple[Annotated[float, Gt(0), Le(1)], ...] = COCO
    """How alike a detection and an object must be."""

    def __post_init__(self) -> None:
        if not 0 < len(self.iou_thresholds) <= 62:
            raise ConfigError(f"{len(self.iou_thresholds)} iou_thresholds", expected="1 to 62 of them")


class Instances(NamedTuple):
    """Detections or objects of many images on the host, one after the other; all (n,)."""

    image: Array
    label: Array
    area: Array
    shape: Array
    """What likeness is computed from: (n, ...) boxes or key points, or masks as objects."""
    score: Array
    """0 for objects."""
    crowd: Array
    """Of objects."""
    ignored: Array
    """Of objects: a detection that finds one counts neither as right nor as wrong."""


class Batch(NamedTuple):
    """What was read of one update."""

    num_images: int
    dets: Instances
    gts: Instances


class AveragePrecisionOfObjects(Metric[CfgT]):
    """Matches detections and objects at each update; lists of dicts, one per image."""

    higher: ClassVar[bool | None] = True
    counts_by: ClassVar[tuple[str, ...]] = ("read_detections", "read_objects", "likeness")
    areas: ClassVar[tuple[str, ...]] = tuple(AREAS)
    max_dets: tuple[int, ...] = (1, 10, 100)
    num_classes: int = 1

    @abstractmethod
    def read_detections(self, pred: Sequence[Mapping[str, Tensor]]) -> Instances:
        """Detections of a batch."""

    @abstractmethod
    def read_objects(self, target: Sequence[Mapping[str, Tensor]]) -> Instances:
        """Objects of a batch."""

    @abstractmethod
    def likeness(self, dets: Instances, gts: Instances, det: Array, gt: Array) -> Array:
        """How alike pairs are, 0 to 1, (P,); float64."""

    def layout(self) -> Mapping[str, State]:
        """A row per detection; objects per class and area; images and what is invalid."""
        bits = (torch.int64, len(self.areas))
        small, whole = dict.fromkeys(("label", "place", "rank"), torch.int32), {"image": torch.int64}
        rows = Table({"score": torch.float64, **small, **whole, "right": bits, "wrong": bits})
        objects = Sum(self.num_classes, len(self.areas))
        return {"rows": rows, "objects": objects, "images": Sum(), **invalid("label", "score", "area")}

    @abstractmethod
    def needs(self) -> tuple[Rows, Rows]:
        """Entries of a prediction, beside ``scores``, and of a target."""

    def check(self, pred: Any, target: Any) -> None:
        own, needs = self.needs()
        check_images(pred, target, {**own, "scores": NUMBER}, needs)

    def count(self, s: States, pred: Any, target: Any, *, valid: Tensor) -> None:
        kept = [i for i, counts in enumerate(valid.tolist()) if counts]
        dets = self.read_detections([pred[i] for i in kept])
        gts = self.read_objects([target[i] for i in kept])
        size = sum(x.nbytes for x in (*dets, *gts))
        s.later(self.match_all, Batch(len(kept), dets, gts), BYTES + 1 if dets.shape.dtype == object else size)

    def match_all(self, s: States, batches: Sequence[Batch]) -> None:
        """Match what was read: of many images at once it costs little more than of a few."""
        ends = int(s["images"]) + np.cumsum([batch.num_images for batch in batches])
        starts = [int(end) - batch.num_images for end, batch in zip(ends, batches, strict=True)]
        gts = self._sorted(s, _joined([x.gts for x in batches], starts))
        dets = self._sorted(s, _joined([x.dets for x in batches], starts))
        group = dets.image * self.num_classes + dets.label
        first = place_in_group(group) < max(self.max_dets)
        dets, group = _chosen(dets, first), group[first]
        limits = np.array([AREAS[name] for name in self.areas])
        outside, ignored = ((x.area[:, None] < limits[:, 0]) | (x.area[:, None] > limits[:, 1]) for x in (dets, gts))
        ignored |= gts.ignored[:, None]
        det, gt = candidates(group, gts.image * self.num_classes + gts.label)
        pairs = Pairs(det, gt, self.likeness(dets, gts, det, gt))
        found, apart = match(pairs, group, Objects(ignored, gts.crowd), np.array(self.cfg.iou_thresholds))
        columns = {
            "score": dets.score,
            "label": dets.label,
            "place": place_in_group(group),
            "right": packed(found & ~apart),
            "wrong": packed(~found & ~outside[..., None]),
            "image": dets.image,
            "rank": np.full(len(group), rank()),
        }
        s.append("rows", {name: torch.from_numpy(x) for name, x in columns.items()})
        s["objects"].index_add_(0, torch.from_numpy(gts.label), torch.from_numpy((~ignored).astype(np.int64)))
        s["images"] += sum(batch.num_images for batch in batches)

    def _sorted(self, s: States, x: Instances) -> Instances:
        """By image, class and falling score; what is invalid is noted and left out."""
        fine = np.isfinite(x.score) & np.isfinite(x.area) & (x.label >= 0) & (x.label < self.num_classes)
        order = np.lexsort((-x.score, x.label, x.image))
        note(s, *map(torch.from_numpy, (~fine, x.label, x.score, x.area)))
        return _chosen(x, order[fine[order]])

    def curves(self, s: States) -> Curves:
        """Precision and recall of merged states."""
        rows = {name: x.numpy() for name, x in s.table("rows").items()}
        order = np.lexsort((rows["rank"], rows["image"], -rows["score"]))
        steps = len(self.cfg.iou_thresholds)
        right, wrong = (unpacked(rows[name][order].reshape(-1, len(self.areas)), steps) for name in ("right", "wrong"))
        matched = Matched(rows["label"][order], rows["place"][order], right, wrong)
        return accumulate(matched, s["objects"].numpy(), self.max_dets)

    def reading(self, s: States, value: Array, **more: Any) -> Reading:
        """The mean of what is known."""
        known = value[~np.isnan(value)]
        mean = float(known.mean()) if len(known) else np.nan
        return Reading(mean, n=int(s["images"]), invalid=int(s["invalid"]), higher=True, **more)

    def at(self, curves: Curves, threshold: float) -> Array:
        """Average precision at one threshold, (C,); empty where it is none of those that are counted."""
        chosen = [i for i, t in enumerate(self.cfg.iou_thresholds) if abs(t - threshold) < 1e-9]
        return curves.ap[:, 0, chosen].reshape(-1)

    def legal(self) -> str:
        return f"Labels are 0 to {self.num_classes - 1}; scores and boxes must be finite."


def _joined(parts: Sequence[Instances], starts: Sequence[int]) -> Instances:
    """Instances of several updates, their images numbered from the starts on."""
    whole = Instances(*map(np.concatenate, zip(*parts, strict=True)))
    return whole._replace(image=whole.image + np.repeat(starts, [len(part.image) for part in parts]))


def _chosen(x: Instances, index: Array) -> Instances:
    return Instances(*(part[index] for part in x))


def data_of(curves: Curves, thresholds: Sequence[float]) -> dict[str, Array]:
    """Mean precision of the classes over recall, for each threshold: arrays for a picture."""
    known = curves.precision[:, 0][~np.isnan(curves.precision[:, 0]).any((1, 2))]
    mean = known.mean(0) if len(known) else np.full(curves.precision.shape[2:], np.nan)
    return {"recall": RECALLS, "precision": mean, "thresholds": np.array(thresholds)}


def packed(flags: Array) -> Array:
    """(D, A, T) bools as (D, A) integers."""
    bits: Array = (flags.astype(np.int64) << np.arange(flags.shape[2])).sum(-1)
    return bits


def unpacked(bits: Array, steps: int) -> Array:
    """The other way."""
    flags: Array = (bits[..., None] >> np.arange(steps)) & 1 == 1
    return flags


def joined(
    images: Sequence[Mapping[str, Tensor]], name: str, dtype: torch.dtype, width: int = 0
) -> tuple[Array, Array]:
    """An entry of all images in one array of its own, and the image of each row."""
    shape = (-1, width) if width else (-1,)
    parts = [one[name].detach().reshape(shape) for one in images]
    whole = torch.cat(parts) if parts else torch.zeros(0, *shape[1:])
    return whole.to("cpu", dtype).numpy(), np.repeat(np.arange(len(parts)), [part.shape[0] for part in parts])
