"""Errors of numbers: how far predictions are off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from dltools.errors import ShapeError
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.invalid import invalid, note
from dltools.states import State, States, Sum

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="NumberMetricCfg[Any]")
ROUNDING = 16 * torch.finfo(torch.float64).eps
"""Of sums of squares, as a share of them."""


class NumberMetricCfg(MetricCfg[T_co]):
    """What is left out."""

    mask_value: float | None = None
    """A target that is left out, such as 0 where a depth is unknown."""


class Pairs(NamedTuple):
    """Predictions, targets, and which of them count."""

    p: Tensor
    y: Tensor
    counts: Tensor


class NumberMetric(Metric[CfgT]):
    """Sums over all elements of pred and target, which have one shape (N, *S); in float64."""

    joins = True
    sums: ClassVar[tuple[str, ...]] = ()
    """Names of the sums."""

    def layout(self) -> Mapping[str, State]:
        """The sums, the elements, and those that are not finite."""
        return {name: Sum(dtype=torch.float64) for name in self.sums} | {"n": Sum(), **invalid("pred", "target")}

    def check(self, pred: Tensor, target: Tensor) -> None:
        if pred.shape != target.shape or pred.ndim == 0 or pred.is_complex() or target.is_complex():
            raise ShapeError(
                f"pred {tuple(pred.shape)} {pred.dtype}, target {tuple(target.shape)} {target.dtype}",
                expected="real numbers in one shape (N, *S)",
                hint="pred.squeeze(1) where only pred has a channel",
            )

    def pairs(self, pred: Tensor, target: Tensor, valid: Tensor) -> Pairs:
        """Both in float64 and whether an element counts; 1 on both sides where it does not."""
        counts = valid.view(-1, *[1] * (pred.ndim - 1)).expand(pred.shape)
        if self.cfg.mask_value is not None:
            counts = counts & (target != self.cfg.mask_value)
        return Pairs(torch.where(counts, pred, 1).double(), torch.where(counts, target, 1).double(), counts)

    def add(self, s: States, pairs: Pairs, terms: Mapping[str, Tensor]) -> None:
        """Add terms of pairs to their sums; a pair with one that is not finite is invalid."""
        fine = torch.stack([x.isfinite() for x in terms.values()]).all(0) & pairs.counts
        for name, x in terms.items():
            s.add(name, torch.where(fine, x, 0).sum())
        s["n"] += fine.sum()
        note(s, pairs.counts & ~fine, pairs.p, pairs.y)

    def reading(self, s: States, value: float) -> Reading:
        """A value of what was counted; NaN of nothing."""
        n = int(s["n"])
        return Reading(value if n else math.nan, n=n, invalid=int(s["invalid"]))

    def mean(self, s: States, name: str) -> float:
        """Of a sum, over the elements."""
        return float(s[name]) / max(1, int(s["n"]))


class ErrorMetricCfg(NumberMetricCfg[T_co]):
    """Metrics with equal fields share one count."""


ErrorCfgT = TypeVar("ErrorCfgT", bound="ErrorMetricCfg[Any]")


class ErrorMetric(NumberMetric[ErrorCfgT]):
    """Sums the differences d = pred - target, their sizes and squares, and the targets y and their squares."""

    sums: ClassVar[tuple[str, ...]] = ("d", "abs", "square", "y", "y_square")

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        p, y, _ = pairs = self.pairs(pred, target, valid)
        d = p - y
        self.add(s, pairs, {"d": d, "abs": d.abs(), "square": d.square(), "y": y, "y_square": y.square()})

    def explained(self, s: States, left: float) -> Reading:
        """One minus what errors leave of the targets' squares about their mean, as finite as scikit-learn makes it."""
        n = int(s["n"])
        whole = about_mean(float(s["y_square"]), float(s["y"]), n)
        share = 1.0 - left / whole if whole else float(left == 0)
        return self.reading(s, share if n > 1 else math.nan)


class MAECfg(ErrorMetricCfg["MAE"]):
    pass


class MAE(ErrorMetric[MAECfg]):
    r"""Mean absolute error, :math:`\sum |p - y| / n`.

    >>> mae = MAE()
    >>> mae.update(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))
    >>> mae.compute()
    Report(mae=1.5)
    """

    higher: ClassVar[bool | None] = False

    def value(self, s: States) -> Reading:
        return self.reading(s, self.mean(s, "abs"))


class MSECfg(ErrorMetricCfg["MSE"]):
    pass


class MSE(ErrorMetric[MSECfg]):
    r"""Mean squared error, :math:`\sum (p - y)^2 / n`.

    >>> mse = MSE()
    >>> mse.update(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))
    >>> mse.compute()
    Report(mse=2.5)
    """

    higher: ClassVar[bool | None] = False

    def value(self, s: States) -> Reading:
        return self.reading(s, self.mean(s, "square"))


class RMSECfg(ErrorMetricCfg["RMSE"]):
    pass


class RMSE(ErrorMetric[RMSECfg]):
    r"""Root of the mean squared error, :math:`\sqrt{\sum (p - y)^2 / n}`, in the unit of the target.

    >>> rmse = RMSE()
    >>> rmse.update(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0]))
    >>> rmse.compute()
    Report(rmse=3)
    """

    higher: ClassVar[bool | None] = False

    def value(self, s: States) -> Reading:
        return self.reading(s, math.sqrt(self.mean(s, "square")))


class R2Cfg(ErrorMetricCfg["R2"]):
    pass


class R2(ErrorMetric[R2Cfg]):
    r"""Coefficient of determination, :math:`1 - \sum (p - y)^2 / \sum (y - \bar y)^2`.

    NaN for fewer than two elements; targets that are all equal give 1 if they are hit, else 0.

    >>> r2 = R2()
    >>> r2.update(torch.tensor([2.5, 0.0, 2.0, 8.0]), torch.tensor([3.0, -0.5, 2.0, 7.0]))
    >>> r2.compute()
    Report(r2=0.948608)
    """

    higher: ClassVar[bool | None] = True

    def value(self, s: States) -> Reading:
        return self.explained(s, float(s["square"]))


class ExplainedVarianceCfg(ErrorMetricCfg["ExplainedVariance"]):
    pass


class ExplainedVariance(ErrorMetric[ExplainedVarianceCfg]):
    r"""Share of the targets' variance that is not in the errors, :math:`1 - Var(p - y) / Var(y)`.

    >>> ev = ExplainedVariance()
    >>> ev.update(torch.tensor([2.5, 0.0, 2.0, 8.0]), torch.tensor([3.0, -0.5, 2.0, 7.0]))
    >>> ev.compute()
    Report(explained_variance=0.957173)
    """

    higher: ClassVar[bool | None] = True

    def value(self, s: States) -> Reading:
        return self.explained(s, about_mean(float(s["square"]), float(s["d"]), int(s["n"])))


def about_mean(squares: float, total: float, n: int) -> float:
    """Sum of squares about the mean; 0 where it is no more than rounding, as it is of numbers that are all equal.

    >>> about_mean(0.1 * 0.1 * 3, 0.1 + 0.1 + 0.1, 3)
    0.0
    """
    found = squares - total**2 / max(1, n)
    return found if found > ROUNDING * squares else 0.0
