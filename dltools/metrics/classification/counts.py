"""Counts per class on the host: what all scores of a classification are made of."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from dltools.meters.report import Array

Average = Literal["macro", "micro", "weighted", "none"]


class Counts(NamedTuple):
    """Each class against the rest, float64 (..., C): leading dimensions are images or resamples."""

    tp: Array
    pred: Array
    """Elements predicted as the class."""
    target: Array
    """Elements of the class."""
    total: Array
    """All elements that counted."""

    @property
    def fp(self) -> Array:
        """False positives."""
        return self.pred - self.tp

    @property
    def fn(self) -> Array:
        """False negatives."""
        return self.target - self.tp

    @property
    def tn(self) -> Array:
        """True negatives."""
        return self.total - self.pred - self.fn

    @property
    def present(self) -> Array:
        """Whether a class is there at all: in the target or in the prediction."""
        found: Array = self.pred + self.target > 0
        return found

    def pooled(self) -> Counts:
        """The classes added up as if they were one, (..., 1)."""
        return Counts(*(x.sum(-1, keepdims=True) for x in self))

    def negatives(self) -> Counts:
        """The same with the classes turned round: what is not of the class is."""
        return Counts(self.tn, self.total - self.pred, self.total - self.target, self.total)

    def stacked(self) -> Array:
        """As one array (..., 4, C)."""
        return np.stack(self, -2)


def unstack(rows: Array) -> Counts:
    """Counts from an array (..., 4, C)."""
    return Counts(*(rows[..., i, :] for i in range(4)))


def of_matrix(matrix: Array) -> Counts:
    """Counts of a confusion matrix (C, C), rows = target; of (C, 2, 2), one for each label."""
    if matrix.ndim == 3:
        return Counts(matrix[:, 1, 1], matrix[:, :, 1].sum(1), matrix[:, 1].sum(1), matrix.sum((1, 2)))
    return Counts(matrix.diagonal(), matrix.sum(0), matrix.sum(1), np.full(len(matrix), matrix.sum()))


def ratio(part: Array, whole: Array) -> Array:
    """Quotient; NaN where the whole is 0."""
    found: Array = part / np.where(whole == 0, np.nan, whole)
    return found


def settle(score: Array, present: Array) -> Array:
    """A class that is there but has nothing to divide by scores 0; one that is not there has no score."""
    return np.where(present, np.where(np.isnan(score), 0.0, score), np.nan)


def mean(score: Array, weights: Array) -> Array:
    """Mean over the classes that have a score; NaN if none has."""
    unknown = np.isnan(score)
    known = np.where(unknown, 0.0, weights)
    return ratio((np.where(unknown, 0.0, score) * known).sum(-1), known.sum(-1))
