"""The contract of all metrics: say what is counted and what is made of it; the rest is given."""

from __future__ import annotations

import math
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor

from dltools._introspect import field_names
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.dist import Group
from dltools.meters.report import Reading, Report
from dltools.meters.sources import collect
from dltools.metrics.counting import Counting
from dltools.metrics.inputs import Batch, Parameter, bind, parameters, read_batch, refuse_unused
from dltools.metrics.joining import count_later, may_wait
from dltools.states import First, State, States

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="MetricCfg[Any]")


class MetricCfg(Config[T_co]):
    """What every metric has."""

    inputs: Mapping[str, str] = {}
    """For parameters of ``count`` whose input has another name in ``update``: parameter -> keyword."""

    def build(self) -> T_co:
        """Make the metric."""
        return self.product()(self)


class Metric(Component[CfgT], Counting, ABC):
    """A number made of states: ``layout`` declares them, ``count`` adds a batch on the device, ``value`` reads them.

    It counts until ``reset``, or ``collect(..., reset=True)``, which starts the next evaluation from nothing.

    >>> import torch
    >>> from dltools.states import Sum
    >>> class BiasCfg(MetricCfg["Bias"]):
    ...     pass
    >>> class Bias(Metric[BiasCfg]):
    ...     def layout(self):
    ...         return {"error": Sum(dtype=torch.float64), "n": Sum()}
    ...     def count(self, s, pred, target, *, valid):
    ...         s.add("error", ((pred - target) * valid).sum())
    ...         s["n"] += valid.sum()
    ...     def value(self, s):
    ...         return float(s["error"] / s["n"])
    >>> bias = Bias()
    >>> bias.update(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 2.5]))
    >>> bias.compute()
    Report(bias=0.25)
    """

    higher: ClassVar[bool | None] = None
    """Whether more is better; None where neither."""
    joins: ClassVar[bool] = False
    """Whether to count batches joined in dim 0 is to count one after the other: then small ones wait for each other."""

    counts_by: ClassVar[tuple[str, ...]] = ()
    """Methods that a family's ``count`` leaves to its leaves: such a leaf shares with its like, not with the others."""

    def __init__(self, cfg: CfgT | None = None, /, **fields: Any) -> None:
        super().__init__(cfg, **fields)
        self.takes: tuple[Parameter, ...] = parameters(self.count, self.cfg.inputs)
        self.states: States = States(self.layout())
        self.key: tuple[type[Any], str] = _key(self)

    @abstractmethod
    def layout(self) -> Mapping[str, State]:
        """The states by name; they follow from the config alone."""

    @abstractmethod
    def count(self, s: States, *batch: Any, **named: Any) -> None:
        """Add a batch to the states, in place and without a host read: ``count(self, s, pred, target, *, valid)``.

        ``valid`` is a bool (N,); what it excludes must add nothing. Other parameters get the inputs of their name.
        """

    @abstractmethod
    def value(self, s: States) -> float | Reading | Mapping[str, float | Reading]:
        """What merged states on the host say; several values by name, the empty name for the metric's own.

        torch divides integer sums in float32: ``s["hits"].double() / s["n"]`` keeps all digits.
        """

    def check(self, *batch: Any, **named: Any) -> None:
        """Refuse, by metadata alone, what ``count`` cannot take; called with the same inputs before anybody counts."""

    def legal(self) -> str:
        """What could be counted instead of what is invalid; part of a warning."""
        return ""

    def example(self, s: States) -> str:
        """The first of what is invalid, in words; part of a warning."""
        kind = s.layout.get("first")
        return kind.words(s["first"]) if isinstance(kind, First) else ""

    def update(self, *batch: Any, valid: Tensor | None = None, **named: Any) -> None:
        """Count a batch: ``update(pred, target)``, other inputs by name; ``valid``, bool (N,), excludes samples."""
        given = read_batch(batch, valid, named)
        refuse_unused(given, self.takes)
        inputs = bind(self.takes, given, type(self).__name__)
        self.check(**inputs)
        self.take(given, inputs)

    def waits(self, *batch: Any, **inputs: Any) -> tuple[Callable[..., None], dict[str, Tensor]]:
        """What counts a batch that waits, and what of it must be kept: the inputs' copies, if nothing less will do."""
        return self.count, {name: x.clone() for name, x in inputs.items()}

    def take(self, batch: Batch, inputs: Mapping[str, Any]) -> None:
        """Count what was checked, now or with what comes next."""
        s = self.states.to(batch.device)
        if self.joins and may_wait(s, inputs):
            count, kept = self.waits(**inputs)
            count_later(s, count, kept, batch.given_valid, batch.size)
        else:
            self.count(s, **inputs, valid=batch.valid)

    def step(self, *batch: Any, valid: Tensor | None = None, **named: Any) -> Self:
        """Count a batch, once, and give it alone as a source: ``collect({"train": metric.step(pred, target)})``."""
        one = self.fresh()
        one.update(*batch, valid=valid, **named)
        self.states.to(one.states.device).merge(one.states)
        return one

    def compute(self, *, sync: bool = True, group: Group = None, timeout: float | None = None) -> Report:
        """The values over all ranks, which must all call it; named after the class in snake case. Changes nothing."""
        return collect(self, sync=sync, group=group, timeout=timeout)

    @property
    def lone_name(self) -> str:
        """Its name where it is collected by itself."""
        return snake(type(self).__name__)

    def read(self, s: States) -> Mapping[str, Reading]:
        """The values as ``collect`` takes them: NaN where something could not be counted.

        Of the metrics that share merged states the first one that is read warns of it.
        """
        found = self.value(s)
        given = found if isinstance(found, Mapping) else {"": found}
        readings = {name: _reading(one, self.higher) for name, one in given.items()}
        invalid = max((one.invalid for one in readings.values()), default=0)
        if invalid:
            said = f"{type(self).__name__}: {invalid} elements cannot be counted, so its value is NaN"
            said += f"; the first is {first}." if (first := self.example(s)) else "."
            told = f"{said} {self.legal()}".rstrip()
            s.once("warning", lambda _: warnings.warn(told, UserWarning, stacklevel=2))
        return readings

    def fresh(self) -> Self:
        """The same metric with nothing counted."""
        return self.on(States(self.states.layout, self.states.device))

    def on(self, states: States) -> Self:
        """The same metric on other states."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), states=states)  # as copy.copy, which takes far longer
        return other

    def counted(self) -> Mapping[str, States]:
        return {self.key[1]: self.states}


def _key(metric: Metric[Any]) -> tuple[type[Any], str]:
    """Metrics with the same key share states: the family, and in words what its config says and what it keeps."""
    counting = {"count", *metric.counts_by}
    family = next(cls for cls in type(metric).__mro__ if counting & vars(cls).keys())
    twin = next((c for c in type(metric.cfg).__mro__ if c.__name__ == f"{family.__name__}Cfg"), type(metric.cfg))
    fields = ", ".join(f"{name}={getattr(metric.cfg, name)!r}" for name in field_names(twin))
    return family, f"{family.__name__}({fields}): {dict(metric.layout())}"


def snake(name: str) -> str:
    """The name of a class in snake case.

    >>> snake("BalancedAccuracy"), snake("IoU"), snake("FBeta"), snake("MAPAtR")
    ('balanced_accuracy', 'iou', 'f_beta', 'map_at_r')
    """
    word = name.replace("MIoU", "Miou").replace("IoU", "Iou")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", word).lower()


def _reading(one: float | Reading, higher: bool | None) -> Reading:
    if not isinstance(one, Reading):
        return Reading(float(one), n=math.nan, higher=higher)
    higher = higher if one.higher is None else one.higher
    if not one.invalid:
        return one._replace(higher=higher)
    unknown = dict.fromkeys(one.per_class, math.nan)
    return one._replace(value=math.nan, higher=higher, per_class=unknown, bounds=None, resample=None)
