"""From counts to readings: one value of a data set, the mean over its images, and what intervals are drawn from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from dltools.meters.report import Array, Reading, Rows
from dltools.metrics.classification.confusion import ConfusionMetric, ConfusionMetricCfg, Counted
from dltools.metrics.classification.counts import Average, Counts, mean, ratio, settle, unstack

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="AveragedMetricCfg[Any]")


def summarize(
    c: Counted,
    overall: Callable[[Counts], Array],
    *,
    per_class: Mapping[str, float] | None = None,
    share: tuple[float, float] | None = None,
) -> dict[str, Reading]:
    """The value of all counts and, where images were kept, the mean of the values of images: ``image``."""
    rows = None if c.images is None else Rows(c.images.stacked(), Statistic(overall))
    value = float(overall(c.counts))
    resample = rows or share
    out = {"": Reading(value, n=c.n, per_class=per_class or {}, invalid=c.invalid, resample=resample)}
    if c.images is not None:
        each = overall(c.images)
        each = each[~np.isnan(each)]
        pairs = np.stack([each, np.ones_like(each)], 1)
        value = float(each.mean()) if len(each) else np.nan
        out["image"] = Reading(value, n=len(each), invalid=c.invalid, resample=pairs)
    return out


class Statistic:
    """The value of summed rows (..., 4, C)."""

    def __init__(self, overall: Callable[[Counts], Array]) -> None:
        self.overall = overall

    def __call__(self, sums: Array) -> Array:
        return self.overall(unstack(sums))


class AveragedMetricCfg(ConfusionMetricCfg[T_co]):
    """How the scores of classes become one."""

    average: Average = "macro"
    """macro: mean over classes; weighted: by their targets; micro: of the pooled counts; none: macro, and each class.

    A class that is neither in targets nor in predictions is left out. A binary task has only the positive class."""


class AveragedMetric(ConfusionMetric[CfgT]):
    """A quotient of counts per class, averaged over the classes that are there."""

    is_share: ClassVar[bool] = False
    """Whether the quotient is a share of independent trials, which has a Wilson interval."""

    @abstractmethod
    def parts(self, c: Counts) -> tuple[Array, Array]:
        """Numerator and denominator, (..., C)."""

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        by_class = dict(zip(self.names, self.by_class(c.counts).tolist(), strict=True))
        share = None
        if self.is_share and self.is_pooled and self.form.task != "multilabel" and c.samples:
            part, whole = self.parts(c.counts.pooled())
            share = float(part[0]), float(whole[0])
        out = summarize(c, self.overall, per_class=by_class, share=share)
        if self.cfg.average == "none":
            out |= {name: Reading(value, n=c.n, invalid=c.invalid) for name, value in by_class.items()}
        return out

    @property
    def is_pooled(self) -> bool:
        """Whether the counts of the classes are added up first; with one class there is nothing to average."""
        return self.cfg.average == "micro" or self.form.task == "binary"

    def overall(self, c: Counts) -> Array:
        """The average, (...)."""
        if self.is_pooled:
            return self.scores(c.pooled())[..., 0]
        return mean(self.by_class(c), c.target if self.cfg.average == "weighted" else np.ones_like(c.target))

    def by_class(self, c: Counts) -> Array:
        """The score of each class, (..., C); NaN for one that is not there."""
        return self.scores(c) if self.form.task == "binary" else settle(ratio(*self.parts(c)), c.present)

    def scores(self, c: Counts) -> Array:
        """The quotients; 0 for a class that is there but has nothing to divide by."""
        found = ratio(*self.parts(c))
        return np.where(np.isnan(found) & c.present, 0.0, found)
