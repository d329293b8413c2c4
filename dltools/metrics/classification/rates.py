"""Rates of one class against the rest: precision, recall, specificity."""

from __future__ import annotations

from typing import ClassVar

from dltools.meters.report import Array
from dltools.metrics.classification.counts import Counts
from dltools.metrics.classification.scores import AveragedMetric, AveragedMetricCfg


class PrecisionCfg(AveragedMetricCfg["Precision"]):
    pass


class Precision(AveragedMetric[PrecisionCfg]):
    r"""How much of what is predicted is right, :math:`TP / (TP + FP)`.

    >>> import torch
    >>> precision = Precision(task="binary", holds="labels")
    >>> precision.update(torch.tensor([1, 1, 0, 1]), torch.tensor([1, 1, 0, 0]))
    >>> precision.compute()
    Report(precision=0.666667)
    """

    higher: ClassVar[bool | None] = True
    is_share = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        return c.tp, c.pred


class RecallCfg(AveragedMetricCfg["Recall"]):
    pass


class Recall(AveragedMetric[RecallCfg]):
    r"""How much of what is there is found, :math:`TP / (TP + FN)`; sensitivity.

    >>> import torch
    >>> recall = Recall(task="binary", holds="labels")
    >>> recall.update(torch.tensor([1, 0, 0, 1]), torch.tensor([1, 1, 0, 0]))
    >>> recall.compute()
    Report(recall=0.5)
    """

    higher: ClassVar[bool | None] = True
    is_share = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        return c.tp, c.target


class SpecificityCfg(AveragedMetricCfg["Specificity"]):
    pass


class Specificity(AveragedMetric[SpecificityCfg]):
    r"""How much of what is not of the class is recognised as such, :math:`TN / (TN + FP)`.

    >>> import torch
    >>> specificity = Specificity(task="binary", holds="labels")
    >>> specificity.update(torch.tensor([1, 0, 0, 1]), torch.tensor([1, 1, 0, 0]))
    >>> specificity.compute()
    Report(specificity=0.5)
    """

    higher: ClassVar[bool | None] = True
    is_share = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        return c.tn, c.tn + c.fp
