"""Shares of right and wrong decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dltools.errors import ConfigError
from dltools.meters.report import Array, Reading
from dltools.metrics.classification.confusion import ConfusionMetric, ConfusionMetricCfg, Counted
from dltools.metrics.classification.counts import Average, Counts, mean, ratio, settle
from dltools.metrics.classification.reading import Task
from dltools.metrics.classification.scores import AveragedMetric, AveragedMetricCfg


class AccuracyCfg(AveragedMetricCfg["Accuracy"]):
    average: Average = "micro"


class Accuracy(AveragedMetric[AccuracyCfg]):
    r"""Share of right decisions, :math:`\sum_c TP_c / n`; of a class, the share of its targets that is found.

    Labels of multilabel tasks count each: :math:`(TP + TN) / n`. Shapes as in `ConfusionMetricCfg.task`.

    >>> import torch
    >>> accuracy = Accuracy(num_classes=3, holds="labels")
    >>> accuracy.update(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2]))
    >>> accuracy.compute()
    Report(accuracy=0.75)
    >>> scores = Accuracy(num_classes=3)
    >>> scores.update(torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]]), torch.tensor([0, 1]))
    >>> scores.compute()
    Report(accuracy=0.5)
    """

    higher: ClassVar[bool | None] = True
    is_share = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        return (c.tp, c.target) if self.form.task == "multiclass" else (c.tp + c.tn, c.total)


class HammingLossCfg(AveragedMetricCfg["HammingLoss"]):
    average: Average = "micro"


class HammingLoss(AveragedMetric[HammingLossCfg]):
    """Share of wrong decisions: one minus `Accuracy`.

    >>> import torch
    >>> loss = HammingLoss(task="multilabel", num_classes=2, holds="probs")
    >>> loss.update(torch.tensor([[0.9, 0.2], [0.8, 0.7]]), torch.tensor([[1, 0], [0, 1]]))
    >>> loss.compute()
    Report(hamming_loss=0.25)
    """

    higher: ClassVar[bool | None] = False
    is_share = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        return (c.fn, c.target) if self.form.task == "multiclass" else (c.fp + c.fn, c.total)


class BalancedAccuracyCfg(AveragedMetricCfg["BalancedAccuracy"]):
    pass


class BalancedAccuracy(AveragedMetric[BalancedAccuracyCfg]):
    r"""Mean recall of the classes; for a binary task, and each label, of its two sides: :math:`(TP/P + TN/N) / 2`.

    >>> import torch
    >>> balanced = BalancedAccuracy(task="binary", holds="labels")
    >>> balanced.update(torch.tensor([1, 1, 0, 1]), torch.tensor([1, 1, 0, 0]))
    >>> balanced.compute()
    Report(balanced_accuracy=0.75)
    """

    higher: ClassVar[bool | None] = True

    def parts(self, c: Counts) -> tuple[Array, Array]:
        if self.form.task == "multiclass":
            return c.tp, c.target
        sides = [settle(ratio(side.tp, side.target), side.present) for side in (c, c.negatives())]
        return mean(np.stack(sides, -1), np.ones((*c.tp.shape, 2))), np.ones_like(c.tp)


class ExactMatchCfg(ConfusionMetricCfg["ExactMatch"]):
    task: Task = "multilabel"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task != "multilabel":
            raise ConfigError(f"task is {self.task!r}", expected="'multilabel'", hint="Accuracy for one decision each")


class ExactMatch(ConfusionMetric[ExactMatchCfg]):
    """Share of elements all of whose labels are right; ignored labels are right. ``per_image`` adds nothing.

    >>> import torch
    >>> exact = ExactMatch(num_classes=2, holds="probs")
    >>> exact.update(torch.tensor([[0.9, 0.2], [0.8, 0.7]]), torch.tensor([[1, 0], [0, 1]]))
    >>> exact.compute()
    Report(exact_match=0.5)
    """

    higher: ClassVar[bool | None] = True

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        right, n = c.exact
        share = (float(right), float(n)) if c.samples else None
        return {"": Reading(right / n if n else np.nan, n=n, invalid=c.invalid, resample=share)}
