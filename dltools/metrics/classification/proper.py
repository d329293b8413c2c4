"""Proper scores: best where the probabilities are the true ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from dltools.meters.report import Reading
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
CfgT = TypeVar("CfgT", bound="ProperScoreCfg[Any]")


class ProperScoreCfg(ScoredMetricCfg[T_co]):
    """Scores with equal fields share one count."""


class ProperScore(ScoredMetric[CfgT]):
    """Sums negative log-likelihood and squared error over elements (binary, multilabel: over each side)."""

    joins = True

    def layout(self) -> Mapping[str, State]:
        """Both sums, the elements, and what is invalid."""
        return {"nll": Sum(dtype=torch.float64), "square": Sum(dtype=torch.float64), "n": Sum(), **invalid()}

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        task, x = self.cfg.task, as_channels(pred, self.cfg.task)
        broken = broken_scores(x, self.cfg.holds)
        label, counts = labels_of(s, self.form(pred), target, valid, x, broken)
        log_p, log_q = log_sides(x, task, self.cfg.holds)
        if task == "multiclass":
            own = log_p.gather(1, label)
            p = log_p.exp()
            square = p.square().sum(1, keepdim=True) + 1 - 2 * own.exp()
        else:
            own = torch.where(label == 1, log_p, log_q)
            square = torch.where(label == 1, log_q, log_p).exp().square()
        s.add("nll", -torch.where(counts, own, 0).sum(dtype=torch.float64))
        s.add("square", torch.where(counts, square, 0).sum(dtype=torch.float64))
        s["n"] += counts.sum()

    def mean(self, s: States, name: str) -> Reading:
        """The mean of a sum over the elements."""
        n = int(s["n"])
        return Reading(float(s[name]) / n if n else math.nan, n=n, invalid=int(s["invalid"]))


class BrierScoreCfg(ProperScoreCfg["BrierScore"]):
    pass


class BrierScore(ProperScore[BrierScoreCfg]):
    r"""Mean squared error of probabilities, :math:`(p - y)^2`; multiclass: summed over the classes.

    >>> brier = BrierScore(task="binary", holds="probs")
    >>> brier.update(torch.tensor([0.5, 1.0]), torch.tensor([1, 1]))
    >>> brier.compute()
    Report(brier_score=0.125)

    Brier 1950, "Verification of forecasts expressed in terms of probability".
    """

    higher: ClassVar[bool | None] = False

    def value(self, s: States) -> Reading:
        return self.mean(s, "square")


class LogLossCfg(ProperScoreCfg["LogLoss"]):
    pass


class LogLoss(ProperScore[LogLossCfg]):
    r"""Mean negative log-likelihood, :math:`-\log p_t`, natural logarithm.

    >>> loss = LogLoss(task="binary", holds="probs")
    >>> loss.update(torch.tensor([0.5, 1.0]), torch.tensor([1, 1]))
    >>> loss.compute()
    Report(log_loss=0.346574)
    """

    higher: ClassVar[bool | None] = False

    def value(self, s: States) -> Reading:
        return self.mean(s, "nll")
