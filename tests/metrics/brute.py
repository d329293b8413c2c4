"""Scores of a classification by their definitions, from lists of pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tests.metrics.cases import Case, Pairs


class Class(NamedTuple):
    """A class against the rest."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def there(self) -> bool:
        return self.tp + self.fp + self.fn > 0


def classes(task: str, num_classes: int, channels: list[Pairs]) -> list[Class]:
    """One for each class; for the positive class of a binary task; for each label of a multilabel task."""
    if task == "multiclass":
        return [one_class(channels[0], c) for c in range(num_classes)]
    return [one_class(pairs, 1) for pairs in channels]


def one_class(pairs: Pairs, c: int) -> Class:
    tp = fp = fn = tn = 0
    for t, p in pairs:
        tp += t == c and p == c
        fp += t != c and p == c
        fn += t == c and p != c
        tn += t != c and p != c
    return Class(tp, fp, fn, tn)


def of(case: Case) -> list[Class]:
    return classes(case.task, case.fields["num_classes"], case.channels)


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


Score = Callable[[Class], tuple[float, float]]
SCORES: dict[str, Score] = {
    "Precision": lambda k: (k.tp, k.tp + k.fp),
    "Recall": lambda k: (k.tp, k.tp + k.fn),
    "Specificity": lambda k: (k.tn, k.tn + k.fp),
    "F1": lambda k: (2 * k.tp, 2 * k.tp + k.fp + k.fn),
    "FBeta": lambda k: (5 * k.tp, 5 * k.tp + 4 * k.fn + k.fp),  # beta = 2
    "IoU": lambda k: (k.tp, k.tp + k.fp + k.fn),
}


def accuracy(task: str) -> Score:
    return lambda k: (k.tp, k.tp + k.fn) if task == "multiclass" else (k.tp + k.tn, sum(k))


def errors(task: str) -> Score:
    return lambda k: (k.fn, k.tp + k.fn) if task == "multiclass" else (k.fp + k.fn, sum(k))


def by_class(score: Score, found: list[Class], task: str) -> list[float]:
    """0/0 is 0 for a class that is there; a class that is not there has no score."""
    out = []
    for k in found:
        value = ratio(*score(k))
        known = task == "binary" or k.there
        out.append(math.nan if not known else 0.0 if math.isnan(value) and k.there else value)
    return out


def averaged(score: Score, found: list[Class], task: str, average: str) -> float:
    pooled = Class(*(sum(x) for x in zip(*found, strict=True)))
    if task == "binary" or average == "micro":
        return by_class(score, [pooled], "binary")[0]
    scores = by_class(score, found, task)
    weights = [k.tp + k.fn if average == "weighted" else 1 for k in found]
    known = [(s, w) for s, w in zip(scores, weights, strict=True) if not math.isnan(s)]
    return ratio(sum(s * w for s, w in known), sum(w for _, w in known))


def matrix(pairs: Pairs, sides: int) -> np.ndarray:
    out = np.zeros((sides, sides), np.int64)
    for t, p in pairs:
        out[t, p] += 1
    return out
