"""How two series of numbers go together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from dltools.errors import MissingExtraError, ShapeError
from dltools.meters.report import Array, Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.invalid import invalid, note
from dltools.metrics.magnitude.errors import NumberMetric, NumberMetricCfg, about_mean
from dltools.states import State, States, Sum, Table

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="PairMetricCfg[Any]")
RankCfgT = TypeVar("RankCfgT", bound="RankPairMetricCfg[Any]")


class PairMetricCfg(NumberMetricCfg[T_co]):
    """Metrics with equal fields share one count."""


class PairMetric(NumberMetric[CfgT]):
    """Sums pred, target, their squares and products over all elements, in float64."""

    sums: ClassVar[tuple[str, ...]] = ("p", "y", "pp", "yy", "py")

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        p, y, _ = pairs = self.pairs(pred, target, valid)
        self.add(s, pairs, {"p": p, "y": y, "pp": p * p, "yy": y * y, "py": p * y})

    def moments(self, s: States) -> tuple[float, float, float, float, float]:
        """Means, variances and covariance, of all elements (divided by n)."""
        n = int(s["n"])
        var_p, var_y = (about_mean(float(s[x + x]), float(s[x]), n) / max(1, n) for x in ("p", "y"))
        p, y, py = (self.mean(s, name) for name in ("p", "y", "py"))
        return p, y, var_p, var_y, py - p * y if var_p and var_y else 0.0


class PearsonCorrCfg(PairMetricCfg["PearsonCorr"]):
    pass


class PearsonCorr(PairMetric[PearsonCorrCfg]):
    r"""Linear correlation, :math:`Cov(p, y) / \sqrt{Var(p) Var(y)}`; NaN where a side is constant.

    >>> corr = PearsonCorr()
    >>> corr.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 4.0]))
    >>> corr.compute()
    Report(pearson_corr=0.981981)
    """

    higher: ClassVar[bool | None] = True

    def value(self, s: States) -> Reading:
        _, _, var_p, var_y, cov = self.moments(s)
        size = math.sqrt(var_p * var_y)
        return self.reading(s, max(-1.0, min(1.0, cov / size)) if size else math.nan)


class ConcordanceCorrCfg(PairMetricCfg["ConcordanceCorr"]):
    pass


class ConcordanceCorr(PairMetric[ConcordanceCorrCfg]):
    r"""Agreement of the numbers themselves, :math:`2 Cov(p, y) / (Var(p) + Var(y) + (\bar p - \bar y)^2)`.

    >>> corr = ConcordanceCorr()
    >>> corr.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 3.0, 4.0]))
    >>> corr.compute()
    Report(concordance_corr=0.571429)

    Lin 1989, "A concordance correlation coefficient to evaluate reproducibility".
    """

    higher: ClassVar[bool | None] = True

    def value(self, s: States) -> Reading:
        p, y, var_p, var_y, cov = self.moments(s)
        size = var_p + var_y + (p - y) ** 2
        return self.reading(s, 2 * cov / size if size else math.nan)


class CosineSimilarityCfg(MetricCfg["CosineSimilarity"]):
    pass


class CosineSimilarity(Metric[CosineSimilarityCfg]):
    r"""Mean over samples of :math:`p \cdot y / (|p| |y|)`, of vectors (N, D); a vector of zeros is invalid.

    >>> cosine = CosineSimilarity()
    >>> cosine.update(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[2.0, 0.0], [1.0, -1.0]]))
    >>> cosine.compute()
    Report(cosine_similarity=0.5)
    """

    higher: ClassVar[bool | None] = True

    def layout(self) -> Mapping[str, State]:
        """Sum, number of samples, and of those that are invalid."""
        return {"sum": Sum(dtype=torch.float64), "n": Sum(), **invalid("length of pred", "length of target")}

    def check(self, pred: Tensor, target: Tensor) -> None:
        if pred.shape != target.shape or pred.ndim != 2:
            given = f"pred {tuple(pred.shape)}, target {tuple(target.shape)}"
            raise ShapeError(given, expected="vectors (N, D) on both sides", hint="flatten(1)")

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        p, y = (torch.where(valid.unsqueeze(1), x, 1).double() for x in (pred, target))
        lengths = [torch.linalg.vector_norm(x, dim=1) for x in (p, y)]
        found = (p * y).sum(1) / (lengths[0] * lengths[1])
        fine = found.isfinite() & valid
        s.add("sum", torch.where(fine, found, 0).sum())
        s["n"] += fine.sum()
        note(s, valid & ~fine, *lengths)

    def value(self, s: States) -> Reading:
        n = int(s["n"])
        return Reading(float(s["sum"]) / n if n else math.nan, n=n, invalid=int(s["invalid"]))


class RankPairMetricCfg(NumberMetricCfg[T_co]):
    """Metrics with equal fields share one table."""


class RankPairMetric(NumberMetric[RankCfgT]):
    """Keeps every pair in a table: what depends on all ranks has no sums."""

    def layout(self) -> Mapping[str, State]:
        """Pairs, and whether one counts."""
        return {"pairs": Table({"pred": torch.float64, "target": torch.float64, "counts": torch.bool})}

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        p, y, counts = (x.reshape(-1) for x in self.pairs(pred, target, valid))
        s.append("pairs", {"pred": p, "target": y, "counts": counts})

    def series(self, s: States) -> tuple[Array, Array, int]:
        """Both series, and how many pairs were left out because they are not finite."""
        p, y, fine = self.rows(s)
        return p[fine], y[fine], int((~fine).sum())

    def rows(self, s: States) -> tuple[Array, Array, Array]:
        """Pairs that count, and which of them are finite."""
        table = {name: x.numpy() for name, x in s.table("pairs").items()}
        p, y = (table[name][table["counts"]] for name in ("pred", "target"))
        return p, y, np.isfinite(p) & np.isfinite(y)

    def example(self, s: States) -> str:
        p, y, fine = self.rows(s)
        return f"pred {p[~fine][0]:.6g}, target {y[~fine][0]:.6g}"


class SpearmanCorrCfg(RankPairMetricCfg["SpearmanCorr"]):
    pass


class SpearmanCorr(RankPairMetric[SpearmanCorrCfg]):
    """Linear correlation of the ranks, ties at the mean of theirs; keeps all pairs.

    >>> corr = SpearmanCorr()
    >>> corr.update(torch.tensor([1.0, 2.0, 30.0]), torch.tensor([1.0, 5.0, 4.0]))
    >>> corr.compute()
    Report(spearman_corr=0.5)
    """

    higher: ClassVar[bool | None] = True

    def value(self, s: States) -> Reading:
        p, y, invalid = self.series(s)
        a, b = (mean_ranks(x) - (len(x) + 1) / 2 for x in (p, y))
        size = math.sqrt(float(a @ a) * float(b @ b))
        return Reading(float(a @ b) / size if size else math.nan, n=len(p), invalid=invalid)


class KendallTauCfg(RankPairMetricCfg["KendallTau"]):
    pass


class KendallTau(RankPairMetric[KendallTauCfg]):
    """Tau-b: pairs in the same order less those in opposite order, as a share of the untied ones; needs scipy.

    >>> tau = KendallTau()
    >>> tau.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 2.0]))
    >>> tau.compute()
    Report(kendall_tau=0.333333)
    """

    higher: ClassVar[bool | None] = True

    def value(self, s: States) -> Reading:
        try:
            from scipy.stats import kendalltau
        except ImportError as error:
            raise MissingExtraError("scipy", "metrics") from error
        p, y, invalid = self.series(s)
        return Reading(float(kendalltau(p, y).statistic) if len(p) > 1 else math.nan, n=len(p), invalid=invalid)


def mean_ranks(x: Array) -> Array:
    """Ranks from 1, equal values at the mean of theirs.

    >>> mean_ranks(np.array([3.0, 1.0, 3.0]))
    array([2.5, 1. , 2.5])
    """
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last: Array = counts.cumsum()
    ranks: Array = (last - (counts - 1) / 2)[inverse]
    return ranks
