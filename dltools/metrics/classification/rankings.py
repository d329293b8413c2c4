"""What rankings say: areas under curves, and the best point on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Le

from dltools.cfgutils.annotations import Positive, Unit
from dltools.meters.report import Array
from dltools.metrics.classification.curves import Ranked, area
from dltools.metrics.classification.ranking import RankedMetric, RankedMetricCfg


class AUROCCfg(RankedMetricCfg["AUROC"]):
    max_fpr: Annotated[float, Gt(0), Le(1)] | None = None
    """Only the part of the curve up to this false positive rate, scaled so that chance is 0.5."""


class AUROC(RankedMetric[AUROCCfg]):
    """Area under the ROC curve: the probability that a positive scores higher than a negative, ties counting half.

    >>> import torch
    >>> auroc = AUROC(task="binary")
    >>> auroc.update(torch.tensor([0.2, 3.0, 0.9, -2.0, 0.5, 0.6]), torch.tensor([0, 0, 1, 0, 1, 1]))
    >>> auroc.compute()
    Report(auroc=0.666667)

    Fawcett 2006, "An introduction to ROC analysis"; McClish 1989 for ``max_fpr``.
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        low, high = (area(*ranked.path(best), self.cfg.max_fpr) for best in (False, True))
        return low, high


class ROCCurveCfg(RankedMetricCfg["ROCCurve"]):
    pass


class ROCCurve(RankedMetric[ROCCurveCfg]):
    """The ROC curve: ``report.data(name)`` has ``fpr``, ``tpr``, ``thresholds``; the value is the area under it.

    With several classes the arrays are those of each, ``fpr_0`` and so on. Cells without a score are left out.

    >>> import torch
    >>> curve = ROCCurve(task="binary", scores="float16")
    >>> curve.update(torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0, 1, 1]))
    >>> curve.compute().data("roc_curve")["tpr"]
    array([0. , 0.5, 1. , 1. ])
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        low, high = (area(*ranked.path(best)) for best in (False, True))
        return low, high

    def data(self, ranked: list[Ranked]) -> Mapping[str, Array]:
        return by_class(ranked, self.points)

    def points(self, one: Ranked) -> Mapping[str, Array]:
        """The curve of one class, from the highest threshold on."""
        above = np.concatenate([[np.inf], self.thresholds(one.cells)])
        with np.errstate(invalid="ignore", divide="ignore"):
            fpr, tpr = one.fp / one.num_neg, one.tp / one.num_pos
        return {"fpr": np.concatenate([[0.0], fpr]), "tpr": np.concatenate([[0.0], tpr]), "thresholds": above}


class AveragePrecisionCfg(RankedMetricCfg["AveragePrecision"]):
    pass


class AveragePrecision(RankedMetric[AveragePrecisionCfg]):
    r"""Area under the steps of the precision-recall curve, :math:`\sum_k (R_k - R_{k-1}) P_k`.

    >>> import torch
    >>> ap = AveragePrecision(task="binary", scores="float16")
    >>> ap.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> ap.compute()
    Report(average_precision=0.833333)
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        return ranked.average_precision()


class PRCurveCfg(RankedMetricCfg["PRCurve"]):
    pass


class PRCurve(RankedMetric[PRCurveCfg]):
    """The precision-recall curve: ``report.data(name)`` has ``precision``, ``recall``, ``thresholds``; the value is AP.

    >>> import torch
    >>> curve = PRCurve(task="binary", scores="float16")
    >>> curve.update(torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0, 1, 1]))
    >>> curve.compute().data("pr_curve")["recall"]
    array([0.5, 1. , 1. ])
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        return ranked.average_precision()

    def data(self, ranked: list[Ranked]) -> Mapping[str, Array]:
        return by_class(ranked, self.points)

    def points(self, one: Ranked) -> Mapping[str, Array]:
        """The curve of one class, from the highest threshold on."""
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = one.tp / one.num_pos
        return {"precision": one.tp / (one.tp + one.fp), "recall": recall, "thresholds": self.thresholds(one.cells)}


class FMaxCfg(RankedMetricCfg["FMax"]):
    beta: Positive = 1.0
    """How many times recall matters as much as precision."""


class FMax(RankedMetric[FMaxCfg]):
    r"""The largest F-measure that a threshold gives, :math:`\max_t (1 + \beta^2) P R / (\beta^2 P + R)`.

    >>> import torch
    >>> f = FMax(task="binary", scores="float16")
    >>> f.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> f.compute()
    Report(f_max=0.8)
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        return ends_of(ranked, lambda tp, fp: self.measure(tp, fp, ranked.num_pos))

    def measure(self, tp: Array, fp: Array, num_pos: float) -> Array:
        """The F-measure at some thresholds."""
        square = self.cfg.beta**2
        found: Array = (1 + square) * tp / (square * num_pos + tp + fp)
        return found


class KolmogorovSmirnovCfg(RankedMetricCfg["KolmogorovSmirnov"]):
    pass


class KolmogorovSmirnov(RankedMetric[KolmogorovSmirnovCfg]):
    r"""The two-sample statistic: the largest distance of the distributions, :math:`\max_t |TPR - FPR|`.

    >>> import torch
    >>> ks = KolmogorovSmirnov(task="binary", scores="float16")
    >>> ks.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> ks.compute()
    Report(kolmogorov_smirnov=0.5)
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        def distance(tp: Array, fp: Array) -> Array:
            return np.abs(tp / ranked.num_pos - fp / ranked.num_neg)

        low, high = ends_of(ranked, distance)
        if ranked.exact:
            return low, high
        return low, max(high, float(distance(ranked.tp - ranked.pos, ranked.fp).max()))


class RecallAtPrecisionCfg(RankedMetricCfg["RecallAtPrecision"]):
    min_precision: Unit
    """What precision must reach."""


class RecallAtPrecision(RankedMetric[RecallAtPrecisionCfg]):
    """The largest recall among thresholds whose precision is high enough; 0 if none is.

    >>> import torch
    >>> recall = RecallAtPrecision(task="binary", scores="float16", min_precision=0.6)
    >>> recall.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> recall.compute()
    Report(recall_at_precision=1)
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        least = self.cfg.min_precision
        return ends_of(ranked, lambda tp, fp: np.where(tp >= least * (tp + fp), tp / ranked.num_pos, 0.0))


class PrecisionAtRecallCfg(RankedMetricCfg["PrecisionAtRecall"]):
    min_recall: Unit
    """What recall must reach."""


class PrecisionAtRecall(RankedMetric[PrecisionAtRecallCfg]):
    """The largest precision among thresholds whose recall is high enough.

    >>> import torch
    >>> precision = PrecisionAtRecall(task="binary", scores="float16", min_recall=0.9)
    >>> precision.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> precision.compute()
    Report(precision_at_recall=0.666667)
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        least = self.cfg.min_recall * ranked.num_pos
        return ends_of(ranked, lambda tp, fp: np.where(tp >= least, tp / (tp + fp).clip(1), 0.0))


class SensitivityAtSpecificityCfg(RankedMetricCfg["SensitivityAtSpecificity"]):
    min_specificity: Unit
    """What specificity must reach."""


class SensitivityAtSpecificity(RankedMetric[SensitivityAtSpecificityCfg]):
    """The largest sensitivity (recall) among thresholds whose specificity is high enough; 0 if none is.

    >>> import torch
    >>> found = SensitivityAtSpecificity(task="binary", scores="float16", min_specificity=0.5)
    >>> found.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> found.compute()
    Report(sensitivity_at_specificity=1)
    """

    higher: ClassVar[bool | None] = True

    def ends(self, ranked: Ranked) -> tuple[float, float]:
        most = (1 - self.cfg.min_specificity) * ranked.num_neg * (1 + 1e-12)
        return ends_of(ranked, lambda tp, fp: np.where(fp <= most, tp / ranked.num_pos, 0.0))


def ends_of(ranked: Ranked, measure: Callable[[Array, Array], Array]) -> tuple[float, float]:
    """The largest value at the ends of cells, which thresholds reach, and at their corners, which none surpasses."""
    low, high = (float(measure(*where).max()) for where in ((ranked.tp, ranked.fp), ranked.corner()))
    return low, max(low, high)


def by_class(ranked: list[Ranked], points: Callable[[Ranked], Mapping[str, Array]]) -> dict[str, Array]:
    """The arrays of one class, or of each with its number behind their names."""
    if len(ranked) == 1:
        return dict(points(ranked[0]))
    return {f"{name}_{i}": x for i, one in enumerate(ranked) for name, x in points(one).items()}
