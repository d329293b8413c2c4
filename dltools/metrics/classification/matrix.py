"""The counts themselves, and the usual scores together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np

from dltools.meters.report import Array, Reading
from dltools.metrics.classification.confusion import ConfusionMetric, ConfusionMetricCfg, Counted
from dltools.metrics.classification.counts import Counts, mean, ratio, settle
from dltools.metrics.classification.reading import Task
from dltools.metrics.classification.scores import summarize


class ConfusionMatrixCfg(ConfusionMetricCfg["ConfusionMatrix"]):
    pass


class ConfusionMatrix(ConfusionMetric[ConfusionMatrixCfg]):
    """Counts of every (target, prediction) pair: ``report.data(name)["matrix"]``, int64 (C, C), rows = target.

    Multilabel: (C, 2, 2). ``data`` also holds ``classes``, their names. The value is the share on the diagonal.

    >>> import torch
    >>> matrix = ConfusionMatrix(num_classes=2, holds="labels")
    >>> matrix.update(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, 1]))
    >>> matrix.compute().data("confusion_matrix")["matrix"]
    array([[1, 1],
           [0, 2]])
    """

    higher: ClassVar[bool | None] = True
    needs_matrix: bool = True

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        matrix = np.empty((0, 0)) if c.matrix is None else c.matrix
        names = self.cfg.class_names if len(self.cfg.class_names) == len(matrix) else ()
        classes = np.array(names or [str(i) for i in range(len(matrix))])
        found = summarize_right(c, self.form.task)
        return {**found, "": found[""]._replace(data={"matrix": matrix.astype(np.int64), "classes": classes})}


class ClassificationReportCfg(ConfusionMetricCfg["ClassificationReport"]):
    pass


class ClassificationReport(ConfusionMetric[ClassificationReportCfg]):
    """F1 (the value), ``precision``, ``recall``, each with its classes, their ``weighted_`` means, and ``accuracy``.

    ``report.data(name)["table"]`` is (C, 4): precision, recall, F1 and number of targets of each class. Means are over
    the classes that are there.

    >>> import torch
    >>> report = ClassificationReport(num_classes=2, holds="labels")
    >>> report.update(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, 1]))
    >>> report.compute().data("classification_report")["table"].round(3)
    array([[1.   , 0.5  , 0.667, 2.   ],
           [0.667, 1.   , 0.8  , 2.   ]])
    """

    higher: ClassVar[bool | None] = True

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        k = c.counts
        data: dict[str, Array] = {"classes": np.array(self.names)}
        scores = np.stack([precision(k), recall(k), f1(k)])
        data["table"] = np.concatenate([scores, k.target[None]]).T
        out = dict[str, Reading]()
        for name, score in zip(("precision", "recall", "f1"), scores, strict=True):
            by_class = dict(zip(self.names, score.tolist(), strict=True))
            one = Reading(float(mean(score, np.ones_like(score))), n=c.n, per_class=by_class, invalid=c.invalid)
            out[name] = one
            out[f"weighted_{name}"] = one._replace(value=float(mean(score, k.target)), per_class={})
        out["accuracy"] = summarize_right(c, self.form.task)[""]
        own = summarize(c, macro_f1, per_class=out["f1"].per_class)
        return {**own, "": own[""]._replace(data=data), **out}


def precision(k: Counts) -> Array:
    """Of each class, (..., C)."""
    return settle(ratio(k.tp, k.pred), k.present)


def recall(k: Counts) -> Array:
    """Of each class, (..., C)."""
    return settle(ratio(k.tp, k.target), k.present)


def f1(k: Counts) -> Array:
    """Of each class, (..., C)."""
    return settle(ratio(2 * k.tp, k.pred + k.target), k.present)


def macro_f1(k: Counts) -> Array:
    """Mean over the classes that are there, (...)."""
    return mean(f1(k), np.ones_like(k.tp))


def summarize_right(c: Counted, task: Task) -> dict[str, Reading]:
    """The share of right decisions, as `Accuracy` has it."""
    part, whole = num_right(task, c.counts)
    share = (float(part), float(whole)) if c.samples and task != "multilabel" else None
    return summarize(c, partial(share_right, task), share=share)


def num_right(task: Task, k: Counts) -> tuple[Array, Array]:
    """Right decisions and all decisions, (...)."""
    part, whole = (k.tp, k.target) if task == "multiclass" else (k.tp + k.tn, k.total)
    return part.sum(-1), whole.sum(-1)


def share_right(task: Task, k: Counts) -> Array:
    """Of counts (..., C)."""
    return ratio(*num_right(task, k))
