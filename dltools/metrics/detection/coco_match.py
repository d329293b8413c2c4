"""Matching of detections and objects as COCO does it: for all images, areas and thresholds at once.

Within an image and class the detections choose one after the other, the surest first: the object that overlaps most
among those that nobody has taken, rather one that counts than one that is ignored, and of equal ones the last. Crowds
may be taken again and again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dltools.meters.report import Array

CAP = 1 - 1e-10
"""No threshold is higher, so that an overlap of 1 reaches all."""


class Pairs(NamedTuple):
    """Detections and objects of the same image and class that are alike enough; all (P,)."""

    det: Array
    gt: Array
    likeness: Array


class Objects(NamedTuple):
    """What detections are matched with."""

    ignored: Array
    """(G, A): whether an object counts within an area range."""
    crowd: Array
    """(G,): whether it may be taken again."""


def candidates(det_group: Array, gt_group: Array) -> tuple[Array, Array]:
    """All pairs of the same group, each side sorted by it: numbers of detections and objects, (P,).

    >>> candidates(np.array([0, 1, 1]), np.array([1, 1, 2]))
    (array([1, 1, 2, 2]), array([0, 1, 0, 1]))
    """
    low, high = (np.searchsorted(gt_group, det_group, side=side) for side in ("left", "right"))
    count = high - low
    det = np.repeat(np.arange(len(det_group)), count)
    place = np.arange(len(det)) - np.repeat(count.cumsum() - count, count)
    return det, low[det] + place


def place_in_group(group: Array) -> Array:
    """How many of the same group stand before, of groups that stand together.

    >>> place_in_group(np.array([3, 3, 7, 7, 7]))
    array([0, 1, 0, 1, 2])
    """
    first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else np.zeros(0, int)
    return np.arange(len(group)) - np.repeat(first, np.diff(np.r_[first, len(group)]))


def match(pairs: Pairs, det_group: Array, objects: Objects, thresholds: Array) -> tuple[Array, Array]:
    """Whether each detection has found an object, and whether that is an ignored one: bool (D, A, T).

    Detections are sorted by group and, in it, by falling score.
    """
    limits = np.minimum(thresholds, CAP)
    pairs = Pairs(*(x[pairs.likeness >= limits.min()] for x in pairs))
    shape = objects.ignored.shape[1], len(limits)
    found, ignored = (np.zeros((len(det_group), *shape), bool) for _ in range(2))
    taken = np.zeros((len(objects.crowd), *shape), bool)
    chooser, of_pair = np.unique(pairs.det, return_inverse=True)
    turn = place_in_group(det_group[chooser])[of_pair]
    order = np.lexsort((pairs.gt, pairs.likeness, pairs.det, turn))
    pairs, turn = Pairs(*(x[order] for x in pairs)), turn[order]
    ends = np.searchsorted(turn, np.arange(1, turn.max(initial=-1) + 2))
    start = 0
    for end in ends:
        now = Pairs(*(x[start:end] for x in pairs))
        first = np.flatnonzero(np.r_[True, now.det[1:] != now.det[:-1]])
        det, best = now.det[first], _best(now, first, objects, taken, limits)
        has = best >= 0
        gt = now.gt[best % len(now.gt)]
        found[det] = has
        ignored[det] = has & objects.ignored[gt, np.arange(shape[0])[:, None]]
        _, areas, places = np.nonzero(has)
        taken[gt[has], areas, places] = True
        start = end
    return found, ignored


def _best(now: Pairs, first: Array, objects: Objects, taken: Array, limits: Array) -> Any:
    """Of each detection the number of the pair that it chooses, (D, A, T); -1: none. One that counts has P on top."""
    free = ~taken[now.gt] | objects.crowd[now.gt, None, None]
    able = free & (now.likeness[:, None] >= limits)[:, None]
    number = np.arange(len(now.gt))[:, None] + len(now.gt) * ~objects.ignored[now.gt]
    return np.maximum.reduceat(np.where(able, number[..., None], -1), first, axis=0)
