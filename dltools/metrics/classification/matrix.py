"""The counts themselves, and the usual scores together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dltools.meters.report import Array, Reading
from dltools.metrics.classification.confusion import ConfusionMetric, ConfusionMetricCfg, Counted
from dltools.metrics.classification.counts import mean, ratio, settle


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

    higher = True
    needs_matrix = True

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        matrix = np.empty((0, 0)) if c.matrix is None else c.matrix
        right = matrix.trace(axis1=-2, axis2=-1).sum()
        binary = self.form.task == "binary"
        names = self.cfg.class_names if len(self.cfg.class_names) == 2 or not binary else ()
        classes = np.array(names or [str(i) for i in range(len(matrix))])
        data = {"matrix": matrix.astype(np.int64), "classes": classes}
        return {"": Reading(right / c.n if c.n else np.nan, n=c.n, data=data, invalid=c.invalid)}


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

    higher = True

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        k = c.counts
        found = [ratio(k.tp, k.pred), ratio(k.tp, k.target), ratio(2 * k.tp, k.pred + k.target)]
        scores = np.stack([settle(score, k.present) for score in found])
        right = k.tp if self.form.task == "multiclass" else k.tp + k.tn
        table = np.concatenate([scores, k.target[None]]).T
        data: dict[str, Array] = {"table": table, "classes": np.array(self.names)}
        values = {"accuracy": right.sum() / c.n if c.n else np.nan}
        for name, score in zip(("precision", "recall", "f1"), scores, strict=True):
            values[name] = float(mean(score, np.ones_like(score)))
            values[f"weighted_{name}"] = float(mean(score, k.target))
        per_class = {
            name: dict(zip(self.names, score.tolist(), strict=True))
            for name, score in zip(("precision", "recall", "f1"), scores, strict=True)
        }
        out = {
            name: Reading(float(value), n=c.n, per_class=per_class.get(name, {}), invalid=c.invalid)
            for name, value in values.items()
        }
        return {"": Reading(values["f1"], n=c.n, per_class=per_class["f1"], data=data, invalid=c.invalid), **out}
