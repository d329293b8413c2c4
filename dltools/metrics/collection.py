"""Several metrics in one pass: what counts alike is counted once."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Self

from torch import Tensor

from dltools.cfgutils.config import Config
from dltools.dist import Group
from dltools.errors import ConfigError, DltoolsError
from dltools.meters.report import Report
from dltools.meters.sources import collect
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.counting import Counting
from dltools.metrics.inputs import bind, read_batch, refuse_unused
from dltools.states import States


class MetricsCfg(Config["Metrics"]):
    """Metrics by name."""

    members: Mapping[str, MetricCfg[Any]] = {}
    """Each metric under the name of its value."""

    def build(self) -> Metrics:
        """Make the metrics."""
        return self.product()(self.members)


class Metrics(Counting, Mapping[str, Metric[Any]]):
    """Metrics by name, updated together; members of one family whose configs count the same share one count.

    >>> import torch
    >>> from dltools.metrics import AccuracyCfg, F1Cfg
    >>> metrics = Metrics({"acc": AccuracyCfg(num_classes=3), "f1": F1Cfg(num_classes=3)})
    >>> metrics.update(torch.eye(3), torch.tensor([0, 1, 1]))
    >>> metrics.compute()
    Report(acc=0.666667, f1=0.555556)
    >>> metrics["acc"].states is metrics["f1"].states
    True

    A metric that is given keeps what it has counted; the member made of it starts from nothing.
    """

    def __init__(self, members: Mapping[str, MetricCfg[Any] | Metric[Any]]) -> None:
        self._members = {name: _metric(name, given) for name, given in members.items()}
        self._start()

    def _start(self) -> None:
        """Give the first member of each key new states, and the others of this key the same ones: it counts for all."""
        leads: dict[Any, Metric[Any]] = {}
        for name, metric in self._members.items():
            known = leads.get(metric.key)
            self._members[name] = metric.on(known.states) if known else leads.setdefault(metric.key, metric.fresh())
        self._leads = list(leads.values())

    @property
    def cfg(self) -> MetricsCfg:
        """The config that makes these metrics."""
        return MetricsCfg(members={name: metric.cfg for name, metric in self.items()})

    def __getitem__(self, name: str) -> Metric[Any]:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"Metrics({dict(self.cfg.members)})"

    def update(self, *batch: Any, valid: Tensor | None = None, **named: Any) -> None:
        """Count a batch in all members; if one of them refuses it, none has counted."""
        given = read_batch(batch, valid, named)
        refuse_unused(given, [takes for lead in self._leads for takes in lead.takes])
        inputs = [bind(lead.takes, given, type(lead).__name__) for lead in self._leads]
        for lead, its in zip(self._leads, inputs, strict=True):
            try:
                lead.check(**its)
            except DltoolsError as error:
                error.add_note(f"for {', '.join(name for name, one in self.items() if one.key == lead.key)}")
                raise
        for lead, its in zip(self._leads, inputs, strict=True):
            lead.take(given, its)

    def step(self, *batch: Any, valid: Tensor | None = None, **named: Any) -> Self:
        """Count a batch, once, and give this batch alone: ``collect({"train": metrics.step(pred, target)})``."""
        one = copy.copy(self)
        one._members = dict(self._members)
        one._start()
        one.update(*batch, valid=valid, **named)
        for mine, its in zip(self._leads, one._leads, strict=True):
            mine.states.to(its.states.device).merge(its.states)
        return one

    def compute(self, *, sync: bool = True, group: Group = None, timeout: float | None = None) -> Report:
        """The values of all members over all ranks, which must all call it. Changes nothing."""
        return collect(self, sync=sync, group=group, timeout=timeout)

    def counted(self) -> Mapping[str, States]:
        return {lead.key[1]: lead.states for lead in self._leads}


def _metric(name: str, given: Any) -> Metric[Any]:
    if isinstance(given, Metric):
        return given
    built = given.build() if isinstance(given, MetricCfg) else None
    if not isinstance(built, Metric):
        raise ConfigError(f"member {name!r} is {given!r}", expected="a metric or the config of one")
    return built
