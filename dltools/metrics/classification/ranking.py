"""The ranking family: histograms of scores, from which all that depends on their order follows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.errors import ConfigError
from dltools.functional.hist16 import NAN, Scores, lowest_of, order_of
from dltools.meters.report import Array, Reading
from dltools.metrics.classification.counts import mean
from dltools.metrics.classification.curves import Ranked
from dltools.metrics.classification.reading import Form, check, no_class, truth
from dltools.metrics.classification.scored import (
    ScoredMetric,
    ScoredMetricCfg,
    as_channels,
    broken_scores,
    see_label_or_score,
)
from dltools.metrics.invalid import worth_a_look
from dltools.states import First, Hist16, State, States

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="RankingMetricCfg[Any]")
RankedCfgT = TypeVar("RankedCfgT", bound="RankedMetricCfg[Any]")


class RankingMetricCfg(ScoredMetricCfg[T_co]):
    """Metrics with equal fields share one count."""

    num_classes: PositiveInt = 2
    """Classes, or labels of a multilabel task; each is ranked against the rest."""
    scores: Scores = "float32"
    """float16, bfloat16: exact for such scores, others are rounded to them. float32: a value with certified bounds."""

    def __post_init__(self) -> None:
        if self.task == "multiclass" and self.num_classes < 2:
            raise ConfigError(
                "num_classes is 1", expected="two or more", hint="task='binary' for one score per element"
            )


class RankingMetric(ScoredMetric[CfgT]):
    """Counts scores of positives and negatives in 2^16 ordered cells per class: memory does not grow with the data.

    A multiclass score is the probability of the class. A NaN score, what is no probability, and a label out of range
    make the value NaN.
    """

    joins = True

    def form(self, pred: Tensor) -> Form:
        return self.cfg.form(self.cfg.num_classes)

    def check(self, pred: Tensor, target: Tensor) -> None:
        check(self.form(pred), pred, target)

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return [str(i) for i in range(1 if self.cfg.task == "binary" else self.cfg.num_classes)]

    def layout(self) -> Mapping[str, State]:
        """Negatives and positives of each class."""
        return {"scores": Hist16(len(self.names)), "first": First()}

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        x, scale, form = as_channels(pred, self.cfg.task), self.cfg.holds, self.form(pred)
        if self.cfg.task == "multiclass" and scale == "logits":
            x, scale = x.softmax(1, dtype=torch.promote_types(x.dtype, torch.float32)), "probs"
        code = truth(form, target, valid)
        channels = torch.arange(x.shape[1], dtype=torch.int32, device=x.device).view(1, -1, 1)
        positive = code == channels if self.cfg.task == "multiclass" else code == 1
        strange = no_class(form, code)
        broken = broken_scores(x, self.cfg.holds)
        bad = broken | strange
        key = order_of(x, self.cfg.scores, scale).masked_fill_(bad, NAN).add_(positive, alpha=NAN + 1)
        key += channels * (2 * (NAN + 1))
        weight = (code != form.sides + 1).long().expand_as(key)
        s["scores"].view(-1).index_add_(0, key.view(-1), weight.reshape(-1))
        if worth_a_look(s, lambda: s["scores"][..., NAN].numpy().any()):
            counted = bad.any(1, keepdim=True) if self.cfg.task == "multiclass" else bad
            see_label_or_score(s, form, strange, target, broken, x, counted & (code != form.sides + 1))

    def ranked(self, s: States) -> list[Ranked]:
        """The ranking of each class, from merged states."""
        exact = self.cfg.scores != "float32"
        return [Ranked.of(neg, pos, exact) for neg, pos in s["scores"].numpy()[..., :NAN]]

    def thresholds(self, cells: Array) -> Array:
        """The least score of cells."""
        is_softmax = self.cfg.task == "multiclass" and self.cfg.holds == "logits"
        return lowest_of(cells, self.cfg.scores, "probs" if is_softmax else self.cfg.holds)


class RankedMetricCfg(RankingMetricCfg[T_co]):
    """How the classes become one number."""

    average: Literal["macro", "weighted", "none"] = "macro"
    """Mean over classes that have positives and negatives; by their positives; macro, and each class."""


class RankedMetric(RankingMetric[RankedCfgT]):
    """A number per class made of its ranking, averaged over the classes."""

    @abstractmethod
    def ends(self, ranked: Ranked) -> tuple[float, float]:
        """Between which the value of a class lies: equal where each cell holds one score."""

    def data(self, ranked: list[Ranked]) -> Mapping[str, Array]:
        """Arrays behind the value; none by default."""
        return {}

    def value(self, s: States) -> Mapping[str, Reading]:
        ranked, invalid = self.ranked(s), int(s["scores"][..., NAN].sum(1).amax())
        ends = np.array([self.ends(one) if one.is_mixed else (np.nan, np.nan) for one in ranked])
        by_class = dict(zip(self.names, ends.mean(1).tolist(), strict=True))
        weights = np.array([one.num_pos if self.cfg.average == "weighted" else 1.0 for one in ranked])
        low, high = (float(mean(end, weights)) for end in ends.T)
        n = max(one.num_pos + one.num_neg for one in ranked)
        bounds = None if self.cfg.scores != "float32" else (low, high)
        whole = Reading(
            (low + high) / 2, n=n, per_class=by_class, data=self.data(ranked), bounds=bounds, invalid=invalid
        )
        each = {name: Reading(value, n=n, invalid=invalid) for name, value in by_class.items()}
        return {"": whole, **(each if self.cfg.average == "none" else {})}
