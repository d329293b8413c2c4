"""Targets as masks of each class."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.distance import signed_distance
from dltools.functional.overlap import OnePass
from dltools.functional.sums import one_of
from dltools.losses.field import across, valid_of


def soft_masks(passed: OnePass) -> Tensor:
    """The target of each class, (N, C, *S), 0 to 1; 0 where excluded."""
    y = passed.labels.y
    if passed.labels.of_classes:
        y = one_of(y, passed.prob.shape[1]) & across(passed, passed.labels.valid)
    elif not passed.labels.soft:
        y = y & passed.labels.valid
    return y.to(passed.dtype)


def target_distance(passed: OnePass) -> Tensor:
    """The signed distance of the target of each class, (N, C, *S)."""
    return signed_distance(soft_masks(passed) > 0.5, valid_of(passed), passed.dtype)
