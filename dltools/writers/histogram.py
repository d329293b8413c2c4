"""How values are spread, counted where they are: only the counts leave the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltools.errors import ConfigError, ShapeError
from dltools.writers.records import Hist


def spread(name: str, values: Tensor | NDArray[Any], bins: object = 64) -> Hist:
    """``bins`` equal bins over the finite minimum to maximum, the last one closed; half a unit around a single value.

    Without a finite value the bins cover 0 to 1, the counts are 0, and minimum and maximum are NaN.

    >>> spread("w", np.array([0.0, 1.0, 1.0, 4.0, np.inf]), bins=4).counts
    (1, 2, 0, 1)
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ConfigError(f"bins is {bins!r}", expected="an int >= 1")
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        values = torch.from_numpy(values.astype(np.float64))
    if not isinstance(values, Tensor) or values.is_complex():
        given = getattr(values, "dtype", type(values).__name__)
        raise ShapeError(f"histogram {name!r} got {given}", expected="real numbers, numpy or torch")
    exact = torch.float32 if values.device.type == "mps" else torch.float64
    with torch.no_grad():
        numbers = _reduce(values.detach().flatten().to(exact), bins).tolist()
    low, high, start, end, total, squares, *counts = numbers
    edges = np.linspace(start, end, bins + 1).tolist()
    return Hist(0, "step", 0.0, name, tuple(edges), tuple(map(int, counts)), total, squares, low, high)


def _reduce(x: Tensor, bins: int) -> Tensor:
    """Minimum, maximum, ends of the bins, sum, sum of squares, then the counts: one vector, one copy to the host."""
    finite = torch.isfinite(x)
    inf = torch.full((1,), torch.inf, dtype=x.dtype, device=x.device)
    low = torch.cat([torch.where(finite, x, inf), inf]).min()
    high = torch.cat([torch.where(finite, x, -inf), -inf]).max()
    empty, single = low > high, low == high
    half = low.abs().clamp(min=1.0) * 0.5
    start = torch.where(empty, 0.0, torch.where(single, low - half, low))
    end = torch.where(empty, 1.0, torch.where(single, high + half, high))
    real = torch.where(finite, x, start)
    at = ((real - start) / (end - start) * bins).long().clamp(0, bins - 1)
    spare = torch.where(finite, at, bins)  # a cell for what is not finite
    counts = torch.zeros(bins + 1, dtype=torch.int64, device=x.device).scatter_add_(0, spare, torch.ones_like(spare))
    kept = torch.where(finite, x, 0.0)
    nan = torch.full_like(low, torch.nan)
    moments = [torch.where(empty, nan, low), torch.where(empty, nan, high), start, end, kept.sum(), (kept * kept).sum()]
    return torch.cat([torch.stack(moments), counts[:-1].to(x.dtype)])
