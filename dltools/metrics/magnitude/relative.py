"""Errors of numbers in relation to their size."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from dltools.meters.report import Reading
from dltools.metrics.magnitude.errors import NumberMetric, NumberMetricCfg
from dltools.states import States

EPS = torch.finfo(torch.float64).eps


class MAPECfg(NumberMetricCfg["MAPE"]):
    pass


class MAPE(NumberMetric[MAPECfg]):
    r"""Mean absolute percentage error as a share, :math:`\sum |p - y| / \max(|y|, \epsilon) / n`, float64's epsilon.

    >>> mape = MAPE()
    >>> mape.update(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 4.0]))
    >>> mape.compute()
    Report(mape=0.375)
    """

    higher: ClassVar[bool | None] = False
    sums: ClassVar[tuple[str, ...]] = ("share",)

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        p, y, _ = pairs = self.pairs(pred, target, valid)
        self.add(s, pairs, {"share": (p - y).abs() / y.abs().clamp_min(EPS)})

    def value(self, s: States) -> Reading:
        return self.reading(s, self.mean(s, "share"))


class SMAPECfg(NumberMetricCfg["SMAPE"]):
    pass


class SMAPE(NumberMetric[SMAPECfg]):
    r"""Symmetric mean absolute percentage error as a share, :math:`\sum 2 |p - y| / (|p| + |y|) / n`; 0/0 is 0.

    >>> smape = SMAPE()
    >>> smape.update(torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0]))
    >>> smape.compute()
    Report(smape=0.5)
    """

    higher: ClassVar[bool | None] = False
    sums: ClassVar[tuple[str, ...]] = ("share",)

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        p, y, _ = pairs = self.pairs(pred, target, valid)
        size = p.abs() + y.abs()
        self.add(s, pairs, {"share": torch.where(size == 0, 0, 2 * (p - y).abs() / size)})

    def value(self, s: States) -> Reading:
        return self.reading(s, self.mean(s, "share"))


class MSLECfg(NumberMetricCfg["MSLE"]):
    pass


class MSLE(NumberMetric[MSLECfg]):
    r"""Mean squared logarithmic error, :math:`\sum (\log(1 + p) - \log(1 + y))^2 / n`; numbers up to -1 are invalid.

    >>> msle = MSLE()
    >>> msle.update(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    >>> msle.compute()
    Report(msle=0)
    """

    higher: ClassVar[bool | None] = False
    sums: ClassVar[tuple[str, ...]] = ("square",)

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        p, y, _ = pairs = self.pairs(pred, target, valid)
        self.add(s, pairs, {"square": (p.log1p() - y.log1p()).square()})

    def value(self, s: States) -> Reading:
        return self.reading(s, self.mean(s, "square"))
