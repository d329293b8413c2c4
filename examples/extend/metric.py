"""A metric of one's own: the share of predictions that are near enough. Say what is kept, counted and made of it.

python examples/extend/metric.py metrics.members.near.tolerance=0.1 'metrics.members.far={type: Within, tolerance: 2}'
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dltools.cfgutils import Positive, Record, build, cli
from dltools.meters import collect
from dltools.metrics import Metric, MetricCfg, MetricsCfg
from dltools.states import State, States, Sum


class WithinCfg(MetricCfg["Within"]):
    tolerance: Positive = 0.5


class Within(Metric[WithinCfg]):
    higher = True

    def layout(self) -> Mapping[str, State]:
        return {"hits": Sum(), "n": Sum()}

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        s.add("hits", (((pred - target).abs() <= self.cfg.tolerance) & valid).sum())
        s.add("n", valid.sum())

    def value(self, s: States) -> float:
        return float(s["hits"].double() / s["n"])


class EvalCfg(Record):
    metrics: MetricsCfg = MetricsCfg(members={"near": WithinCfg()})


if __name__ == "__main__":
    metrics = build(cli(EvalCfg).metrics)
    for first in (0.0, 2.0):
        target = torch.tensor([first, first + 1])
        metrics.update(target + torch.tensor([0.25, 1.0]), target)
    metrics.update(torch.zeros(2), torch.zeros(2), valid=torch.tensor([True, False]))
    for name, value in collect({"val": metrics}).items():
        print(f"{name}: {value:.4f}")
