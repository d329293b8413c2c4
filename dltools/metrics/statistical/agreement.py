"""Agreement beyond chance: Cohen's kappa, Matthews' correlation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeVar

import numpy as np

from dltools.errors import ConfigError
from dltools.meters.report import Array, Reading
from dltools.metrics.classification.confusion import ConfusionMetric, ConfusionMetricCfg, Counted
from dltools.metrics.classification.counts import Counts, ratio
from dltools.metrics.classification.scores import summarize

T_co = TypeVar("T_co", covariant=True)


class AgreementCfg(ConfusionMetricCfg[T_co]):
    """Agreement is that of one decision."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multilabel":
            raise ConfigError(
                "task is 'multilabel'", expected="'binary' or 'multiclass'", hint="a metric for each label"
            )


class CohenKappaCfg(AgreementCfg["CohenKappa"]):
    weights: Literal["linear", "quadratic"] | None = None
    """How a disagreement grows with the distance of the classes; None: all are equal.

    With weights, ``per_image`` adds nothing: of an image no whole matrix is kept."""


class CohenKappa(ConfusionMetric[CohenKappaCfg]):
    r"""Agreement beyond chance, :math:`1 - \sum w O / \sum w E` with :math:`E = T P^T / n`; NaN if all is one class.

    >>> import torch
    >>> kappa = CohenKappa(task="binary", holds="labels")
    >>> kappa.update(torch.tensor([1, 1, 0, 1]), torch.tensor([1, 1, 0, 0]))
    >>> kappa.compute()
    Report(cohen_kappa=0.5)
    """

    higher: ClassVar[bool | None] = True

    def setup(self) -> None:
        super().setup()
        self.needs_matrix: bool = self.cfg.weights is not None

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        if c.matrix is None or self.cfg.weights is None:
            return summarize(c, kappa)
        value = weighted_kappa(c.matrix, 2 if self.cfg.weights == "quadratic" else 1)
        return {"": Reading(value, n=c.n, invalid=c.invalid)}


class MatthewsCorrCoefCfg(AgreementCfg["MatthewsCorrCoef"]):
    pass


class MatthewsCorrCoef(ConfusionMetric[MatthewsCorrCoefCfg]):
    r"""Correlation of prediction and target, :math:`(n s - P \cdot T) / \sqrt{(n^2 - P \cdot P) (n^2 - T \cdot T)}`.

    There are s hits among n elements; P and T are the numbers of predictions and of targets by class.

    0 if either of them is constant. Matthews 1975; Gorodkin 2004 for many classes.

    >>> import torch
    >>> mcc = MatthewsCorrCoef(task="binary", holds="labels")
    >>> mcc.update(torch.tensor([1, 1, 0, 1]), torch.tensor([1, 1, 0, 0]))
    >>> mcc.compute()
    Report(matthews_corr_coef=0.57735)
    """

    higher: ClassVar[bool | None] = True

    def readings(self, c: Counted) -> Mapping[str, Reading]:
        return summarize(c, matthews)


def kappa(c: Counts) -> Array:
    """Unweighted, of counts (..., C)."""
    hits, chance, _, _ = _moments(c)
    return ratio(hits - chance, 1 - chance)


def matthews(c: Counts) -> Array:
    """Of counts (..., C)."""
    hits, chance, pred, target = _moments(c)
    spread = np.sqrt(np.maximum((1 - pred) * (1 - target), 0))
    return np.where(np.isnan(hits), np.nan, np.nan_to_num(ratio(hits - chance, spread)))


def weighted_kappa(matrix: Array, power: int) -> float:
    """Of a matrix (C, C), disagreements weighed by a power of the distance."""
    n, place = matrix.sum(), np.arange(len(matrix))
    weights = np.abs(place[:, None] - place).astype(np.float64) ** power
    chance = ratio(np.outer(matrix.sum(1), matrix.sum(0)), n)
    return float(1 - ratio((weights * matrix).sum(), (weights * chance).sum()))


def _moments(c: Counts) -> tuple[Array, Array, Array, Array]:
    """Shares: hits, chance hits, squares of the predictions and of the targets."""
    if c.tp.shape[-1] == 1:
        c = Counts(*(np.concatenate(pair, -1) for pair in zip(c, c.negatives(), strict=True)))
    pred, target = ratio(c.pred, c.total), ratio(c.target, c.total)
    return ratio(c.tp, c.total).sum(-1), (pred * target).sum(-1), (pred**2).sum(-1), (target**2).sum(-1)


MCC = MatthewsCorrCoef
MCCCfg = MatthewsCorrCoefCfg
