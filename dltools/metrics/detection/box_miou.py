"""Mean overlap of boxes with their targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import Unit
from dltools.functional.boxes import BoxFormat, box_convert, box_iou
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.detection.images import BOX, NUMBER, check_images
from dltools.metrics.invalid import invalid, note_number
from dltools.states import State, States, Sum


class BoxMIoUCfg(MetricCfg["BoxMIoU"]):
    threshold: Unit = 0.5
    """Overlap from which two boxes may be a pair."""
    class_aware: bool = True
    """Whether only boxes of the same label may be."""
    box_format: BoxFormat = "xyxy"


class BoxMIoU(Metric[BoxMIoUCfg]):
    """Mean IoU of pairs of boxes, the largest first, each box in one pair; ``recall`` is the share of targets in pairs.

    ``update(pred, target)`` takes lists of dicts, one per image, with ``boxes`` (n, 4) and, if classes matter,
    ``labels`` (n,).

    >>> metric = BoxMIoU(class_aware=False)
    >>> target = {"boxes": torch.tensor([[0.0, 0.0, 2.0, 2.0], [9.0, 9.0, 10.0, 10.0]])}
    >>> metric.update([{"boxes": torch.tensor([[0.0, 0.0, 2.0, 1.5]])}], [target])
    >>> metric.compute()
    Report(box_miou=0.75, box_miou/recall=0.5)
    """

    higher: ClassVar[bool | None] = True

    def layout(self) -> Mapping[str, State]:
        """Sum of overlaps, pairs, targets, boxes that are not finite."""
        return {"iou": Sum(dtype=torch.float64), "pairs": Sum(), "targets": Sum(), **invalid()}

    def check(self, pred: Any, target: Any) -> None:
        needs = {"boxes": BOX, "labels": NUMBER} if self.cfg.class_aware else {"boxes": BOX}
        check_images(pred, target, needs, needs)

    def count(self, s: States, pred: Any, target: Any, *, valid: Tensor) -> None:
        for counts, guess, truth in zip(valid.tolist(), pred, target, strict=True):
            if counts:
                self._image(s, guess, truth)

    def _image(self, s: States, guess: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> None:
        a, b = (
            box_convert(x["boxes"].detach().double().cpu().reshape(-1, 4), self.cfg.box_format, "xyxy")
            for x in (guess, truth)
        )
        for given, boxes in ((guess, a), (truth, b)):
            if note_number(s, (~boxes.isfinite()).any(1)):
                raw = given["boxes"].detach().double().cpu()
                s.see("first", ~raw.isfinite(), raw)
        iou = box_iou(a.nan_to_num(), b.nan_to_num(), pairwise=True)
        if self.cfg.class_aware:
            iou = torch.where(guess["labels"].cpu().view(-1, 1) == truth["labels"].cpu(), iou, -1)
        found = greedy(iou.numpy(), self.cfg.threshold)
        s.add("iou", torch.tensor([sum(found)], dtype=torch.float64))
        s["pairs"] += len(found)
        s["targets"] += len(b)

    def value(self, s: States) -> Mapping[str, Reading]:
        pairs, targets, invalid = (int(s[name]) for name in ("pairs", "targets", "invalid"))
        mean = float(s["iou"]) / pairs if pairs else np.nan
        recall = Reading(pairs / targets if targets else np.nan, n=targets, invalid=invalid, resample=(pairs, targets))
        return {"": Reading(mean, n=pairs, invalid=invalid), "recall": recall}

    def legal(self) -> str:
        return "Boxes must be finite."


def greedy(likeness: Any, threshold: float) -> Sequence[float]:
    """Values of the pairs of a matrix, the largest first, each row and column once.

    >>> greedy(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.5)
    [0.9]
    """
    made, rows, columns = [], set[int](), set[int]()
    order = np.argsort(-likeness, axis=None, kind="stable")
    for i, j in zip(*np.unravel_index(order, likeness.shape), strict=True):
        value = float(likeness[i, j])
        if value < threshold or value < 0:
            break
        if i not in rows and j not in columns:
            made.append(value)
            rows.add(int(i))
            columns.add(int(j))
    return made


MIoU = BoxMIoU
MIoUCfg = BoxMIoUCfg
