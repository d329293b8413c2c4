"""From matched detections to precision and recall, as COCO does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dltools.meters.report import Array

RECALLS = np.linspace(0, 1, 101)
"""Where precision is read off."""


class Matched(NamedTuple):
    """Detections in the order of one process: of all images, the surest first; (D,) or (D, A, T)."""

    label: Array
    place: Array
    """How many detections of the same image and class are surer."""
    right: Array
    """Matched with an object that counts."""
    wrong: Array
    """Matched with nothing, and of a size that counts."""


class Curves(NamedTuple):
    """NaN where there is no object."""

    precision: Array
    """At each of ``RECALLS``, the largest at that recall or beyond: (C, A, T, 101)."""
    recall: Array
    """Of the best so many detections of each image, (C, M, A, T)."""

    @property
    def ap(self) -> Array:
        """Mean precision, (C, A, T)."""
        mean: Array = self.precision.mean(-1)
        return mean


def accumulate(found: Matched, num_objects: Array, max_dets: Sequence[int]) -> Curves:
    """``num_objects`` (C, A) count; precision is that of the largest of ``max_dets``."""
    classes, areas = num_objects.shape
    steps = found.right.shape[2]
    precision = np.full((classes, areas, steps, len(RECALLS)), np.nan)
    recall = np.full((classes, len(max_dets), areas, steps), np.nan)
    order = np.argsort(found.label, kind="stable")
    ends = np.searchsorted(found.label[order], np.arange(classes + 1))
    for c in np.flatnonzero(num_objects.any(1)):
        rows = order[ends[c] : ends[c + 1]]
        known = num_objects[c] > 0
        rows = rows[found.place[rows] < max(max_dets)]
        right, wrong = found.right[rows][:, known], found.wrong[rows][:, known]
        total = num_objects[c, known, None]
        for m, most in enumerate(max_dets):
            recall[c, m, known] = right[found.place[rows] < most].sum(0) / total
        precision[c, known] = envelope(right, wrong, total)
    return Curves(precision, recall)


def envelope(right: Array, wrong: Array, total: Array) -> Array:
    """Precision at each of ``RECALLS``, of (n, A, T): (A, T, 101)."""
    tp, fp = right.cumsum(0), wrong.cumsum(0)
    recall, precision = tp / total, tp / (tp + fp + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    out = np.zeros((*right.shape[1:], len(RECALLS)))
    for at in np.ndindex(*right.shape[1:]):
        place = np.searchsorted(recall[:, *at], RECALLS, side="left")
        there = place < len(right)
        out[at][there] = precision[place[there], *at]
    return out
