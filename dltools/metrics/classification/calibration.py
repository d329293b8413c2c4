"""Calibration: whether of what is said to be 70 % sure 70 % is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.meters.report import Array, Reading
from dltools.metrics.classification.scored import (
    ScoredMetric,
    ScoredMetricCfg,
    as_channels,
    broken_scores,
    labels_of,
    log_sides,
)
from dltools.metrics.invalid import invalid
from dltools.states import State, States, Sum

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="CalibrationMetricCfg[Any]")


class CalibrationMetricCfg(ScoredMetricCfg[T_co]):
    """Metrics with equal fields share one count."""

    bins: PositiveInt = 15
    """Bins of equal width over [0, 1]; the last one is closed."""


class Bins(NamedTuple):
    """What bins hold, each (bins,)."""

    n: Array
    conf: Array
    """Mean confidence; NaN where a bin is empty."""
    right: Array
    """Share that is right."""
    invalid: int

    @property
    def gap(self) -> Array:
        """How far both are apart, 0 where a bin is empty."""
        gap: Array = np.nan_to_num(np.abs(self.right - self.conf))
        return gap


class CalibrationMetric(ScoredMetric[CfgT]):
    """Counts elements, confidence and hits per bin.

    The confidence is the largest probability, and a hit is the class it belongs to; for binary and multilabel tasks it
    is the probability of the positive side, and a hit is a positive.
    """

    joins = True

    def layout(self) -> Mapping[str, State]:
        """Per bin, and what is invalid."""
        bins = self.cfg.bins
        return {"n": Sum(bins), "conf": Sum(bins, dtype=torch.float64), "right": Sum(bins), **invalid()}

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        bins, x = self.cfg.bins, as_channels(pred, self.cfg.task)
        p = x.to(torch.promote_types(x.dtype, torch.float32))
        p = p if self.cfg.holds == "probs" else log_sides(x, self.cfg.task, self.cfg.holds)[0].exp()
        broken, guess = broken_scores(x, self.cfg.holds), torch.ones((), dtype=torch.int64, device=p.device)
        if self.cfg.task == "multiclass":
            p, guess = p.max(1, keepdim=True)
        label, counts = labels_of(s, self.form(pred), target, valid, x, broken)
        right = label == guess
        p = torch.where(counts, p, 0)
        cell = (p * bins).long().clamp(0, bins - 1).view(-1)
        s["n"].index_add_(0, cell, counts.view(-1).long())
        s["right"].index_add_(0, cell, (right & counts).view(-1).long())
        s.add("conf", torch.zeros(bins, dtype=torch.float64, device=p.device).index_add_(0, cell, p.view(-1).double()))

    def bins(self, s: States) -> Bins:
        """What merged states hold."""
        n, conf, right = (s[name].double().numpy() for name in ("n", "conf", "right"))
        with np.errstate(invalid="ignore"):
            return Bins(n, conf / n, right / n, int(s["invalid"]))


class CalibrationErrorCfg(CalibrationMetricCfg["CalibrationError"]):
    norm: Literal["l1", "l2", "max"] = "l1"
    """Mean gap (ECE), root of the mean squared gap, largest gap (MCE)."""


class CalibrationError(CalibrationMetric[CalibrationErrorCfg]):
    r"""Gap between confidence and share of hits, :math:`\sum_b n_b / n \, |right_b - conf_b|` for l1.

    >>> error = CalibrationError(task="binary", holds="probs", bins=10)
    >>> error.update(torch.tensor([0.25, 0.25, 0.55, 0.75, 0.75]), torch.tensor([0, 0, 1, 1, 1]))
    >>> error.compute()
    Report(calibration_error=0.29)

    Guo et al. 2017, arXiv:1706.04599.
    """

    higher: ClassVar[bool | None] = False

    def value(self, s: States) -> Reading:
        bins = self.bins(s)
        return Reading(gap(bins, self.cfg.norm), n=bins.n.sum(), invalid=bins.invalid)


class ReliabilityCfg(CalibrationMetricCfg["Reliability"]):
    pass


class Reliability(CalibrationMetric[ReliabilityCfg]):
    """The bins behind the calibration error, for a picture; the value is that error (l1).

    ``report.data(name)`` has per bin ``n``, ``confidence``, ``accuracy`` (NaN where it is empty), and the ``edges``.

    >>> reliability = Reliability(task="binary", holds="probs", bins=2)
    >>> reliability.update(torch.tensor([0.25, 0.75, 1.0]), torch.tensor([0, 1, 0]))
    >>> reliability.compute().data("reliability")["accuracy"]
    array([0. , 0.5])
    """

    higher: ClassVar[bool | None] = False

    def value(self, s: States) -> Reading:
        bins = self.bins(s)
        edges = np.linspace(0, 1, self.cfg.bins + 1)
        data = {"n": bins.n.astype(np.int64), "confidence": bins.conf, "accuracy": bins.right, "edges": edges}
        return Reading(gap(bins, "l1"), n=bins.n.sum(), invalid=bins.invalid, data=data)


def gap(bins: Bins, norm: Literal["l1", "l2", "max"]) -> float:
    """The gaps of all bins in one number; NaN if nothing was counted."""
    total = bins.n.sum()
    if not total:
        return np.nan
    if norm == "max":
        return float(bins.gap.max())
    return (
        float((bins.n * bins.gap).sum() / total)
        if norm == "l1"
        else float(np.sqrt((bins.n * bins.gap**2).sum() / total))
    )
