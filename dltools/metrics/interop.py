"""torchmetrics here, and metrics of dltools there."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dltools.dist import rank
from dltools.errors import ConfigError, MissingExtraError, did_you_mean
from dltools.meters.report import Reading, Report
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.inputs import POSITIONAL, Parameter
from dltools.states import Max, Min, State, States, Sum, Table

DTYPES = (
    torch.float32,
    torch.float64,
    torch.int64,
    torch.int32,
    torch.bool,
    torch.float16,
    torch.bfloat16,
    torch.uint8,
)
"""Of rows in list states; int16 and int8 are sent as int64."""
MAX_DIMS = 6
"""Of a row in a list state."""


class Wrapped(Metric[MetricCfg[Any]]):
    """A metric of torchmetrics whose states merge as those of dltools do; made by ``wrap``."""

    def __init__(self, metric: Any) -> None:
        self.metric: Any = copy.deepcopy(metric).cpu()
        self.metric.reset()
        self.metric.sync_on_compute = self.metric._to_sync = False
        self.cfg: MetricCfg[Any] = MetricCfg()
        names = [p.name for p in inspect.signature(metric.update).parameters.values() if p.kind < p.VAR_KEYWORD]
        sources = zip(names, [*POSITIONAL, *names[len(POSITIONAL) :]], strict=False)
        self.takes: tuple[Parameter, ...] = tuple(Parameter(name, source, name == names[0]) for name, source in sources)
        self.states: States = States(self.layout())
        plain = {
            k: x for k, x in sorted(vars(metric).items()) if k[0] != "_" and isinstance(x, (int, float, str, tuple))
        }
        self.key: tuple[type[Any], str] = (type(metric), f"{type(metric).__name__}({plain}): {dict(self.layout())}")

    def layout(self) -> Mapping[str, State]:
        """From the defaults of the metric, and how it reduces them."""
        made: dict[str, State] = {"updates": Sum()}
        for name, default in self.metric._defaults.items():
            how = getattr(self.metric._reductions[name], "__name__", "None")
            if isinstance(default, list) or how == "dim_zero_cat":
                made[name] = Table({"byte": torch.uint8, "rank": torch.int16})
                made[f"{name} form"] = Max(2 + MAX_DIMS)
            elif how == "dim_zero_sum":
                whole = torch.int64 if not default.is_floating_point() else torch.float64
                made[name] = Sum(*default.shape, dtype=whole)
            elif how in ("dim_zero_max", "dim_zero_min"):
                made[name] = (Max if how == "dim_zero_max" else Min)(*default.shape)
            else:
                given = f"{type(self.metric).__name__} reduces its state {name!r} by {how}"
                raise ConfigError(given, expected="sum, max, min or cat", hint="a metric of dltools of that name")
        return made

    def count(self, s: States, *batch: Any, valid: Tensor, **named: Any) -> None:
        if not bool(valid.all()):
            named = {name: x[valid.to(x.device)] if isinstance(x, Tensor) else x for name, x in named.items()}
        self.metric.to(valid.device).reset()
        self.metric.update(*batch, **named)
        s["updates"] += 1
        for name, default in self.metric._defaults.items():
            value, kind = getattr(self.metric, name), s.layout[name]
            if isinstance(kind, Table):
                rows = value if isinstance(value, list) else [value]
                for row in rows:
                    _append(s, name, row.detach().reshape(-1, *row.shape[1:]))
            elif isinstance(kind, Sum):
                s.add(name, (value - default.to(value.device)).reshape(kind.shape))
            else:
                kind.merge(s[name], value.double().reshape(kind.shape))

    def value(self, s: States) -> Mapping[str, Reading]:
        """What a clone computes from the merged states."""
        n = int(s["updates"])
        if not n:
            return {"": Reading(math.nan)}
        clone = copy.deepcopy(self.metric).cpu()
        clone.reset()
        for name, default in self.metric._defaults.items():
            kind = s.layout[name]
            if isinstance(kind, Table):
                rows = _rows(s, name)
                setattr(clone, name, [rows] if isinstance(default, list) else rows)
            else:
                start = default.cpu() if isinstance(kind, Sum) else 0
                setattr(clone, name, (s[name].reshape(default.shape) + start).to(default.dtype))
        clone._update_count, clone._computed = n, None
        higher = getattr(self.metric, "higher_is_better", None)
        return {name: Reading(x, n=n, higher=higher) for name, x in _numbers(clone.compute()).items()}


def wrap(torchmetrics_metric: Any) -> Metric[Any]:
    """A metric of torchmetrics as one of dltools: in ``Metrics``, in ``collect``, in one all_reduce with all others.

    The metric that is given stays as it is. Its states must be sums, maxima, minima or lists; else a ConfigError.

    >>> import torchmetrics
    >>> metric = wrap(torchmetrics.MeanSquaredError())
    >>> metric.update(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))
    >>> metric.compute()
    Report(wrapped=2.5)
    """
    return Wrapped(torchmetrics_metric)


def as_torchmetrics(metric: Metric[Any], key: str | None = None) -> Any:
    """A metric of dltools as one of torchmetrics, for ``self.log`` of Lightning; it shares what the metric has counted.

    ``compute`` merges over the ranks and gives the value called ``key`` (None: the metric's own) as a tensor.

    >>> from dltools.metrics import MAE
    >>> mae = as_torchmetrics(MAE())
    >>> mae.update(torch.tensor([1.0]), torch.tensor([3.0]))
    >>> mae.compute()
    tensor(2., dtype=torch.float64)
    """
    try:
        import torchmetrics
    except ImportError as error:
        raise MissingExtraError("torchmetrics", "metrics") from error

    class Adapter(torchmetrics.Metric):
        """torchmetrics' interface around a metric that keeps and merges its states itself."""

        full_state_update = False
        higher_is_better = metric.higher

        def __init__(self) -> None:
            super().__init__(sync_on_compute=False, compute_with_cache=False)

        def update(self, *batch: Any, **named: Any) -> None:
            metric.update(*batch, **named)

        def compute(self) -> Tensor:
            return _picked(metric.compute(), metric.lone_name, key)

        def forward(self, *batch: Any, **named: Any) -> Tensor:
            self._update_count += 1
            return _picked(metric.step(*batch, **named).compute(sync=False), metric.lone_name, key)

        def reset(self) -> None:
            super().reset()
            metric.reset()

    return Adapter()


def _picked(report: Report, own: str, key: str | None) -> Tensor:
    """The value called ``key`` in the report of a metric by itself."""
    name = own if key is None else key if key in report else f"{own}/{key}"
    if name not in report:
        raise ConfigError(f"{own} has no value {key!r}; {did_you_mean(str(key), report)}")
    return torch.tensor(report[name], dtype=torch.float64)


def _append(s: States, name: str, rows: Tensor) -> None:
    """Rows as bytes, each with the rank that it is of; their form stands beside them."""
    rows = rows if rows.dtype in DTYPES else rows.long()
    form = [float(DTYPES.index(rows.dtype)), float(rows.ndim), *map(float, rows.shape[1:])]
    own = s[f"{name} form"]
    own[: len(form)] = torch.tensor(form, dtype=own.dtype, device=own.device)
    byte = rows.contiguous().reshape(-1).view(torch.uint8)
    s.append(name, {"byte": byte, "rank": torch.full_like(byte, rank(), dtype=torch.int16)})


def _rows(s: States, name: str) -> Tensor:
    """The rows of all ranks, one rank after the other."""
    table, form = s.table(name), s[f"{name} form"].tolist()
    if not math.isfinite(form[0]):
        return torch.zeros(0)
    order = table["rank"].long().argsort(stable=True)
    shape = [int(size) for size in form[2 : 1 + int(form[1])]]
    return table["byte"][order].contiguous().view(DTYPES[int(form[0])]).reshape(-1, *shape)


def _numbers(found: Any) -> dict[str, float]:
    """A result of torchmetrics by name: a number, one for each class, or several by name."""
    if isinstance(found, Mapping):
        return {f"{name}/{inner}".rstrip("/"): x for name, part in found.items() for inner, x in _numbers(part).items()}
    flat = torch.as_tensor(found, dtype=torch.float64).reshape(-1).tolist()
    return {"": flat[0]} if len(flat) == 1 else {str(i): x for i, x in enumerate(flat)}
