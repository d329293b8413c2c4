"""Whether the target is among the best few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.errors import ConfigError
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.classification.reading import Form, check, left_out
from dltools.metrics.classification.scored import as_channels, labels_of
from dltools.metrics.invalid import invalid
from dltools.states import State, States, Sum

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="TopKMetricCfg[Any]")


class TopKMetricCfg(MetricCfg[T_co]):
    """How far the rank of the target is counted."""

    num_classes: PositiveInt
    max_k: PositiveInt | None = None
    """Ranks that are told apart; None: all. Metrics of equal ``max_k`` share one count."""
    ignore_index: int | tuple[int, ...] | None = None
    """Labels that are left out."""

    def __post_init__(self) -> None:
        if self.num_classes < 2 or (self.max_k or 1) > self.num_classes:
            raise ConfigError(
                f"num_classes is {self.num_classes}, max_k {self.max_k}",
                expected="2 <= num_classes, max_k <= num_classes",
            )


class TopKMetric(Metric[CfgT]):
    """Counts the rank of the target among the scores, ties by the lower index: pred (N, C, *S), target (N, *S)."""

    joins = True

    def setup(self) -> None:
        self.form: Form = Form("multiclass", self.cfg.num_classes, "logits", 0.5, left_out(self.cfg.ignore_index))
        self.num_ranks: int = self.cfg.max_k or self.cfg.num_classes

    def layout(self) -> Mapping[str, State]:
        """Each rank, all further ones, and what is invalid."""
        return {"ranks": Sum(self.num_ranks + 1), **invalid()}

    def check(self, pred: Tensor, target: Tensor) -> None:
        check(self.form, pred, target)

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        x = as_channels(pred, "multiclass")
        label, counts = labels_of(s, self.form, target, valid, x, x.isnan())
        own = x.gather(1, label)
        places = torch.arange(x.shape[1], device=x.device).view(1, -1, 1)
        rank = ((x > own) | ((x == own) & (places < label))).sum(1, keepdim=True)
        s["ranks"].index_add_(0, rank.clamp(max=self.num_ranks).view(-1), counts.view(-1).long())


class TopKAccuracyCfg(TopKMetricCfg["TopKAccuracy"]):
    k: PositiveInt
    """The best so many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        limit = self.max_k or self.num_classes
        if self.k > limit:
            raise ConfigError(
                f"k is {self.k}", expected=f"at most {limit}, the {'max_k' if self.max_k else 'num_classes'}"
            )


class TopKAccuracy(TopKMetric[TopKAccuracyCfg]):
    """Share of elements whose target is among the k best scores; of equal scores the lower index is better.

    >>> accuracy = TopKAccuracy(num_classes=3, k=2)
    >>> accuracy.update(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), torch.tensor([1, 0]))
    >>> accuracy.compute()
    Report(top_k_accuracy=0.5)
    """

    higher: ClassVar[bool | None] = True

    def value(self, s: States) -> Reading:
        ranks = s["ranks"].tolist()
        n, hits = sum(ranks), sum(ranks[: self.cfg.k])
        return Reading(hits / n if n else torch.nan, n=n, invalid=int(s["invalid"]), resample=(hits, n))

    def legal(self) -> str:
        return f"Legal labels are 0 to {self.cfg.num_classes - 1}; ignore_index leaves others out."
