"""Overlap of the rims of masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Gt, Le
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.errors import ConfigError, ShapeError
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.classification.reading import Form, Holds, check, left_out, no_class_in, read, see_first
from dltools.metrics.invalid import invalid, note_number
from dltools.states import State, States, Sum


class BoundaryIoUCfg(MetricCfg["BoundaryIoU"]):
    """How wide a rim is, and what is compared."""

    num_classes: PositiveInt
    holds: Holds = "logits"
    """What pred is: scores (N, C, H, W), or labels in the shape of target."""
    ignore_index: int | tuple[int, ...] | None = None
    """Labels that are left out."""
    dilation: Annotated[float, Gt(0), Le(1)] = 0.02
    """Width of a rim, as a share of the image's diagonal; at least a pixel."""

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ConfigError(f"num_classes is {self.num_classes}", expected="two or more")


class BoundaryIoU(Metric[BoundaryIoUCfg]):
    r"""Intersection over union of the rims of masks inside the masks, mean over the classes that are there.

    A rim holds the pixels of a mask that are at most d away from its edge, d in steps to any of 8 neighbours. Shapes:
    pred (N, C, H, W), target (N, H, W).

    >>> a, b = torch.zeros(1, 16, 16, dtype=torch.int64), torch.zeros(1, 16, 16, dtype=torch.int64)
    >>> a[0, 4:12, 4:12], b[0, 4:12, 5:13] = 1, 1
    >>> metric = BoundaryIoU(num_classes=2, holds="labels")
    >>> metric.update(a, b)
    >>> round(metric.compute().per_class("boundary_iou")["1"], 4)
    0.3333

    Cheng et al. 2021, arXiv:2103.16562.
    """

    higher: ClassVar[bool | None] = True

    def setup(self) -> None:
        ignore = left_out(self.cfg.ignore_index)
        self.form: Form = Form("multiclass", self.cfg.num_classes, self.cfg.holds, 0.5, ignore)

    def layout(self) -> Mapping[str, State]:
        """Pixels of rims: common ones and all; pixels with a label out of range."""
        return {
            "common": Sum(self.cfg.num_classes),
            "all": Sum(self.cfg.num_classes),
            "images": Sum(),
            **invalid(),
        }

    def check(self, pred: Tensor, target: Tensor) -> None:
        check(self.form, pred, target)
        if target.ndim != 3:
            raise ShapeError(f"target {tuple(target.shape)}", expected="images (N, H, W)")

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        truth, guess = (x.view(target.shape) for x in read(self.form, pred, target, valid))
        bad = no_class_in(self.form, truth, guess)
        if note_number(s, bad):
            see_first(s, self.form, truth, target, guess, pred)
        out = bad | (truth == self.form.sides + 1)
        classes = torch.arange(self.cfg.num_classes, device=truth.device, dtype=truth.dtype).view(1, -1, 1, 1)
        width = max(1, round(self.cfg.dilation * math.hypot(*target.shape[1:])))
        a, b = (rim((x.unsqueeze(1) == classes), width) for x in (guess, truth))
        counts = ~out.unsqueeze(1)
        s["common"] += (a & b & counts).sum((0, 2, 3))
        s["all"] += ((a | b) & counts).sum((0, 2, 3))
        s["images"] += valid.sum()

    def value(self, s: States) -> Reading:
        common, whole = s["common"].double().numpy(), s["all"].double().numpy()
        each = np.divide(common, whole, out=np.full(len(whole), np.nan), where=whole > 0)
        mean = float(np.nanmean(each)) if (whole > 0).any() else np.nan
        by_class = {str(c): float(x) for c, x in enumerate(each)}
        return Reading(mean, n=int(s["images"]), per_class=by_class, invalid=int(s["invalid"]))

    def legal(self) -> str:
        return f"Legal labels are 0 to {self.cfg.num_classes - 1}; ignore_index leaves others out."


def rim(masks: Tensor, width: int) -> Tensor:
    """Pixels of masks (N, C, H, W) within ``width`` steps of what is outside, the outside of the image too."""
    outside = F.pad((~masks).float(), [width] * 4, value=1.0)
    near = F.max_pool2d(F.max_pool2d(outside, (2 * width + 1, 1), 1), (1, 2 * width + 1), 1) > 0
    return masks & near
