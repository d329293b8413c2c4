"""Weights for classes of which some are rare."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dltools.errors import ConfigError, ShapeError


def class_weights(
    counts: ArrayLike,
    method: Literal["balanced", "effective", "median_freq", "inv_sqrt"] = "balanced",
    *,
    beta: float = 0.99,
    scale: Literal["none", "mean"] = "none",
) -> NDArray[np.float64]:
    r"""A weight for each class from the number :math:`n_c` of its samples or pixels, for ``class_weights`` of a loss.

    - balanced: :math:`n / (C n_c)`, the same sum of weights for all classes; :math:`n = \sum_c n_c`;
    - effective: :math:`(1 - \beta) / (1 - \beta^{n_c})`, for samples that are ever less new;
    - median_freq: the median of the counts by :math:`n_c`;
    - inv_sqrt: :math:`n_c^{-1/2}`.

    A class that was never seen gets 0, with one warning, and is no part of the median. ``scale="mean"`` divides by the
    mean weight of the others. Raises ShapeError and ConfigError.

    >>> class_weights([90, 10])
    array([0.55555556, 5.        ])

    Source: effective numbers, Cui et al. 2019, arXiv:1901.05555; median frequency, Eigen and Fergus 2015,
    arXiv:1411.4734, here of all pixels.
    """
    n = np.asarray(counts, dtype=np.float64)
    if n.ndim != 1 or not n.size:
        raise ShapeError(f"counts of shape {n.shape}", expected="a number for each class, (C,)")
    if not (np.isfinite(n) & (n >= 0)).all():
        raise ConfigError(f"counts from {n.min()} to {n.max()}", expected="numbers >= 0")
    if not 0 <= beta < 1:
        raise ConfigError(f"beta is {beta}", expected="0 <= beta < 1")
    seen = n > 0
    if not seen.all():
        absent = ", ".join(map(str, np.flatnonzero(~seen)))
        warnings.warn(f"no sample of class {absent}: weight 0. Hint: fewer classes, or more data.", stacklevel=2)
    weights = np.zeros_like(n)
    weights[seen] = _weights(n[seen], len(n), method, beta)
    return weights / weights[seen].mean() if scale == "mean" and seen.any() else weights


def _weights(n: NDArray[np.float64], num_classes: int, method: str, beta: float) -> NDArray[np.float64]:
    if method == "balanced":
        each = n.sum() / (num_classes * n)
    elif method == "effective":
        each = (1 - beta) / -np.expm1(n * math.log(beta)) if beta else np.ones_like(n)
    elif method == "median_freq":
        each = np.median(n) / n if n.size else n
    elif method == "inv_sqrt":
        each = n**-0.5
    else:
        raise ConfigError(f"method is {method!r}", expected="balanced, effective, median_freq or inv_sqrt")
    return np.asarray(each)
