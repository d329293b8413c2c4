"""Distances between the surfaces of predicted and true masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from annotated_types import Gt, Le
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative, NonNegativeInt, Positive, PositiveInt
from dltools.errors import ConfigError, ShapeError
from dltools.meters.report import Array, Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.classification.reading import Form, Holds, check, left_out, no_class_in, read, see_first
from dltools.metrics.invalid import invalid, note_number
from dltools.metrics.segmentation.surfaces import Convention, between, surface_of
from dltools.states import State, States, Table

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="SurfaceMetricCfg[Any]")


class SurfaceMetricCfg(MetricCfg[T_co]):
    """Metrics with equal fields share one table."""

    num_classes: PositiveInt
    classes: tuple[NonNegativeInt, ...] = ()
    """Which are measured; all but 0, the background, if empty."""
    holds: Holds = "logits"
    """What pred is: scores (N, C, *S), or labels in the shape of target."""
    ignore_index: int | tuple[int, ...] | None = None
    """Labels that are left out: such pixels are on both sides as if beyond the image's border."""
    spacing: tuple[Positive, ...] = ()
    """Size of a pixel along each axis; 1 if empty."""
    percentile: Annotated[float, Gt(0), Le(100)] = 95.0
    """Of the robust Hausdorff distance."""
    tolerances: tuple[NonNegative, ...] = (1.0,)
    """Distances up to which surfaces agree."""
    convention: Convention = "pixel"
    """Distances of boundary pixels, or of pieces of surface by their size."""
    missed: Literal["inf", "diagonal"] = "inf"
    """Distance where only one side has the class: infinite, or the diagonal of the image."""

    def __post_init__(self) -> None:
        if self.num_classes < 2 or any(c >= self.num_classes for c in self.classes):
            given = f"num_classes is {self.num_classes}, classes {self.classes}"
            raise ConfigError(given, expected="two classes or more, and classes among them")


class SurfaceMetric(Metric[CfgT]):
    """Keeps a row per image and class, made at each update on the host; an image has two or three dimensions.

    Where a class is on neither side the row says nothing. Means are over all other images and classes.
    """

    higher: ClassVar[bool | None] = False

    def setup(self) -> None:
        ignore = left_out(self.cfg.ignore_index)
        self.form: Form = Form("multiclass", self.cfg.num_classes, self.cfg.holds, 0.5, ignore)
        self.classes: tuple[int, ...] = self.cfg.classes or tuple(range(1, self.cfg.num_classes))
        tolerances = [f"nsd_{t:g}" for t in self.cfg.tolerances]
        self.columns: tuple[str, ...] = ("hd", f"hd{self.cfg.percentile:g}", "assd", "missed", *tolerances)

    def layout(self) -> Mapping[str, State]:
        """Rows, and labels out of range."""
        return {"rows": Table({"x": (torch.float64, len(self.columns))}, rows=len(self.classes)), **invalid()}

    def check(self, pred: Tensor, target: Tensor) -> None:
        check(self.form, pred, target)
        if target.ndim not in (3, 4) or len(self.cfg.spacing) not in (0, target.ndim - 1):
            raise ShapeError(
                f"target {tuple(target.shape)}, spacing {self.cfg.spacing}",
                expected="images of two or three dimensions, and a spacing for each of them",
            )

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        truth, guess = (x.view(target.shape) for x in read(self.form, pred, target, valid))
        if note_number(s, no_class_in(self.form, truth, guess)):
            see_first(s, self.form, truth, target, guess, pred)
        rows: list[list[float]] = []
        for counts, a, b in zip(valid.tolist(), guess.cpu().numpy(), truth.cpu().numpy(), strict=True):
            if counts:
                out = b == self.form.sides + 1
                rows += [self.compare((a == c) & ~out, b == c) for c in self.classes]
        s.append("rows", {"x": torch.tensor(rows, dtype=torch.float64)})

    def compare(self, pred: Array, target: Array) -> list[float]:
        """The row of one image and class."""
        has = pred.any(), target.any()
        spacing = self.cfg.spacing or (1.0,) * target.ndim
        if not all(has):
            diagonal = math.hypot(*(size * step for size, step in zip(target.shape, spacing, strict=True)))
            far = math.inf if self.cfg.missed == "inf" else diagonal
            agree = [0.0] * len(self.cfg.tolerances)
            return [far, far, far, 1.0, *agree] if any(has) else [math.nan] * len(self.columns)
        box = bounds(pred | target)
        convention = self.cfg.convention
        first, second = (surface_of(x[box], convention, spacing) for x in (pred, target))
        both = between(first, second, spacing)
        area = sum(one.weights.sum() for one in both)
        hd = max(float(one.to_other.max()) for one in both)
        robust = max(one.percentile(self.cfg.percentile, convention) for one in both)
        assd = float(sum((one.to_other * one.weights).sum() for one in both) / area)
        agree = [float(sum(one.within(t) for one in both) / area) for t in self.cfg.tolerances]
        return [hd, robust, assd, 0.0, *agree]

    def reading(self, s: States, name: str, higher: bool | None = False) -> Reading:
        """The mean of a column; ``per_class`` over the images."""
        x = s.table("rows")["x"].numpy().reshape(-1, len(self.classes), len(self.columns))
        x = x[..., self.columns.index(name)]
        by_class = {str(c): _mean(x[:, i]) for i, c in enumerate(self.classes)}
        known = x[~np.isnan(x)]
        pairs = np.stack([known, np.ones(len(known))], 1)
        invalid = int(s["invalid"])
        return Reading(_mean(known), len(known), higher, by_class, invalid=invalid, resample=pairs)

    def legal(self) -> str:
        return f"Legal labels are 0 to {self.cfg.num_classes - 1}; ignore_index leaves others out."


class SurfaceDistanceCfg(SurfaceMetricCfg["SurfaceDistance"]):
    pass


class SurfaceDistance(SurfaceMetric[SurfaceDistanceCfg]):
    """All distances in one pass.

    ``hd`` (Hausdorff), ``hd95`` (the larger directed percentile), ``assd`` (mean over both surfaces), ``nsd_1`` (share
    of both surfaces within a tolerance) and ``missed`` (share of objects that only one side has).

    >>> a, b = torch.zeros(1, 32, 32, dtype=torch.int64), torch.zeros(1, 32, 32, dtype=torch.int64)
    >>> a[0, 8:16, 8:16], b[0, 8:16, 11:19] = 1, 1
    >>> metric = SurfaceDistance(num_classes=2, holds="labels")
    >>> metric.update(a, b)
    >>> report = metric.compute()
    >>> report["surface_distance/hd"], report["surface_distance/hd95"], report["surface_distance/nsd_1"]
    (3.0, 3.0, 0.5)

    Nikolov et al. 2018, arXiv:1809.04430, for surfels.
    """

    def value(self, s: States) -> Mapping[str, Reading]:
        return {name: self.reading(s, name, name.startswith("nsd")) for name in self.columns}


class HausdorffDistanceCfg(SurfaceMetricCfg["HausdorffDistance"]):
    pass


class HausdorffDistance(SurfaceMetric[HausdorffDistanceCfg]):
    """The largest distance from one surface to the nearest point of the other; ``hd95`` is its percentile.

    >>> a, b = torch.zeros(1, 9, 9, dtype=torch.int64), torch.zeros(1, 9, 9, dtype=torch.int64)
    >>> a[0, 4, 2], b[0, 4, 6] = 1, 1
    >>> metric = HausdorffDistance(num_classes=2, holds="labels")
    >>> metric.update(a, b)
    >>> metric.compute()
    Report(hausdorff_distance=4, hausdorff_distance/hd95=4)
    """

    def value(self, s: States) -> Mapping[str, Reading]:
        return {"": self.reading(s, "hd"), self.columns[1]: self.reading(s, self.columns[1])}


class SurfaceDiceCfg(SurfaceMetricCfg["SurfaceDice"]):
    pass


class SurfaceDice(SurfaceMetric[SurfaceDiceCfg]):
    """Share of both surfaces within a tolerance of each other: the first one; the others are ``nsd_2`` and so on.

    >>> a, b = torch.zeros(1, 9, 9, dtype=torch.int64), torch.zeros(1, 9, 9, dtype=torch.int64)
    >>> a[0, 4, 2:6], b[0, 4, 3:6] = 1, 1
    >>> metric = SurfaceDice(num_classes=2, holds="labels", tolerances=(0.0,))
    >>> metric.update(a, b)
    >>> metric.compute()
    Report(surface_dice=0.857143)
    """

    higher: ClassVar[bool | None] = True

    def value(self, s: States) -> Mapping[str, Reading]:
        first, *others = self.columns[4:]
        return {"": self.reading(s, first, True), **{name: self.reading(s, name, True) for name in others}}


def bounds(mask: Array) -> tuple[slice, ...]:
    """The box around what is True."""
    made = []
    for axis in range(mask.ndim):
        at = np.flatnonzero(mask.any(tuple(d for d in range(mask.ndim) if d != axis)))
        made.append(slice(int(at[0]), int(at[-1]) + 1))
    return tuple(made)


def _mean(x: Array) -> float:
    known = x[~np.isnan(x)]
    return float(known.mean()) if len(known) else math.nan
