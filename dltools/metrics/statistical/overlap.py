"""How much prediction and target overlap: F-measures, Dice, intersection over union."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dltools.cfgutils.annotations import Positive
from dltools.meters.report import Array, Reading
from dltools.metrics.classification.confusion import ConfusionMetric, ConfusionMetricCfg, Counted
from dltools.metrics.classification.counts import Counts, ratio
from dltools.metrics.classification.scores import AveragedMetric, AveragedMetricCfg, summarize


class FBetaCfg(AveragedMetricCfg["FBeta"]):
    beta: Positive = 1.0
    """How many times recall matters as much as precision."""


class FBeta(AveragedMetric[FBetaCfg]):
    r"""Weighted harmonic mean of precision and recall, :math:`(1 + \beta^2) TP / ((1 + \beta^2) TP + \beta^2 FN + FP)`.

    >>> import torch
    >>> f2 = FBeta(task="binary", holds="labels", beta=2.0)
    >>> f2.update(torch.tensor([1, 1, 0, 1]), torch.tensor([1, 1, 0, 0]))
    >>> f2.compute()
    Report(f_beta=0.909091)
    """

    higher: ClassVar[bool | None] = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        square = self.cfg.beta**2
        return (1 + square) * c.tp, square * c.target + c.pred


class F1Cfg(AveragedMetricCfg["F1"]):
    pass


class F1(AveragedMetric[F1Cfg]):
    r"""Harmonic mean of precision and recall, :math:`2 TP / (2 TP + FP + FN)`; of masks, the Dice coefficient.

    >>> import torch
    >>> f1 = F1(task="binary", holds="labels")
    >>> f1.update(torch.tensor([1, 1, 0, 1]), torch.tensor([1, 1, 0, 0]))
    >>> f1.compute()
    Report(f1=0.8)
    """

    higher: ClassVar[bool | None] = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        return 2 * c.tp, c.pred + c.target


class IoUCfg(AveragedMetricCfg["IoU"]):
    pass


class IoU(AveragedMetric[IoUCfg]):
    r"""Intersection over union, :math:`TP / (TP + FP + FN)`; the Jaccard index, as mean over classes mIoU.

    >>> import torch
    >>> iou = IoU(num_classes=2, holds="labels")
    >>> iou.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 1]]))
    >>> report = iou.compute()
    >>> report, report.per_class("iou")
    (Report(iou=0.583333), {'0': 0.5, '1': 0.6666666666666666})
    """

    higher: ClassVar[bool | None] = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        return c.tp, c.pred + c.fn


class GeneralizedDiceCfg(ConfusionMetricCfg["GeneralizedDice"]):
    pass


class GeneralizedDice(ConfusionMetric[GeneralizedDiceCfg]):
    r"""Dice of all classes together, :math:`2 \sum_c w_c TP_c / \sum_c w_c (P_c + T_c)` with :math:`w_c = 1 / T_c^2`.

    A class without a target has no size and is left out. Sudre et al. 2017, arXiv:1707.03237.

    >>> import torch
    >>> dice = GeneralizedDice(num_classes=2, holds="labels")
    >>> dice.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 0, 1]]))
    >>> dice.compute()
    Report(generalized_dice=0.5)
    """

    higher: ClassVar[bool | None] = True

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        each = ratio(2 * c.counts.tp, c.counts.pred + c.counts.target)
        return summarize(c, generalized_dice, per_class=dict(zip(self.names, each.tolist(), strict=True)))


def generalized_dice(c: Counts) -> Array:
    """The value of counts (..., C)."""
    weights = np.nan_to_num(ratio(np.ones_like(c.target), c.target**2))
    return ratio(2 * (weights * c.tp).sum(-1), (weights * (c.pred + c.target)).sum(-1))


Dice = F1
DiceCfg = F1Cfg
Jaccard = IoU
JaccardCfg = IoUCfg
