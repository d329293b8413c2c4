"""Scores as 2^16 ordered cells: exact for half precision, fine in the middle and wide in the tails for float32.

Only operations that keep the order are used (sums and quotients as IEEE rounds them, bit patterns, integer shifts), so
that of two scores in different cells the one in the higher cell is never the smaller one.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CELLS = 2**16
NAN = CELLS
"""The cell of what is no number."""
Scores = Literal["float32", "float16", "bfloat16"]
Scale = Literal["logits", "probs", "log_probs"]
ONE = 0x3F800000
"""The bits of 1.0."""
OCTAVE = 2.0**-23 * 0.6931471805599453
"""From bits of a positive float32 to its natural logarithm, a straight line within each octave."""


def cells_of(x: Tensor, scores: Scores, scale: Scale = "logits") -> Tensor:
    """The cell of each score, int32 in [0, 2^16], in the order of the scores; NaN is 2^16.

    float16 and bfloat16: one cell per number, ``-0`` and 0 in one. float32: cells of the log-odds z, 2048 to each
    doubling of ``1 + |z|`` up to 2^16, beyond which all share the outermost.

    >>> cells_of(torch.tensor([-torch.inf, -1.0, -0.0, 0.0, 1.0, torch.nan]), "float32")
    tensor([    0, 30719, 32768, 32768, 34816, 65536], dtype=torch.int32)
    """
    return order_of(x, scores, scale).masked_fill_(x.isnan(), NAN)


def order_of(x: Tensor, scores: Scores, scale: Scale = "logits") -> Tensor:
    """The same where x is a number; of NaN it says nothing."""
    if scores == "float32":
        return _of_log_odds(_log_odds(x.float(), scale))
    half = x.to(torch.float16 if scores == "float16" else torch.bfloat16) + 0.0
    bits = half.contiguous().view(torch.int16).int()
    return (bits & 0x7FFF).bitwise_xor_(bits >> 31).add_(CELLS // 2)  # what is negative counts downwards


def _of_log_odds(z: Tensor) -> Tensor:
    steps = ((z.abs() + 1.0).view(torch.int32) - ONE) >> 12
    steps = steps.clamp_(max=CELLS // 2 - 1)
    return steps.bitwise_xor_(-(z < 0).int()).add_(CELLS // 2)


def _log_odds(x: Tensor, scale: Scale) -> Tensor:
    """The log-odds, or what rises with them in about the same way."""
    if scale == "logits":
        return x
    if scale == "probs":
        x = x.clamp(0.0, 1.0)  # rounding may carry it past its ends
        return _log(x / (1.0 - x))
    x = x.clamp(max=0.0)
    return torch.where(x <= -1.0, x, -_log(-x) - 1.0)


def _log(x: Tensor) -> Tensor:
    """The natural logarithm of non-negative numbers, not to the digit but in order."""
    return (x.abs().contiguous().view(torch.int32) - ONE).float() * OCTAVE


def lowest_of(cells: NDArray[Any], scores: Scores, scale: Scale = "logits") -> NDArray[np.float64]:
    """About the least score that falls into each cell: a threshold that lets the cell and those above it through.

    >>> lowest_of(np.array([32768, 34816]), "float32")
    array([0., 1.])
    """
    cells = np.asarray(cells, np.int64)
    if scores != "float32":
        bits = np.where(cells < CELLS // 2, ~cells & 0xFFFF, cells - CELLS // 2).astype(np.uint16)
        if scores == "float16":
            return bits.view(np.float16).astype(np.float64)
        return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    steps = np.where(cells < CELLS // 2, CELLS // 2 - cells, cells - CELLS // 2)
    z = np.where(cells < CELLS // 2, -1.0, 1.0) * (_from_bits(ONE + (steps << 12)) - 1.0)
    if scale == "probs":
        odds = _from_bits(ONE + z / OCTAVE)
        return odds / (1.0 + odds)
    if scale == "log_probs":
        return np.where(z <= -1.0, z, -_from_bits(ONE - (z + 1.0) / OCTAVE))
    return np.where(cells == 0, -np.inf, z)


def _from_bits(bits: NDArray[Any]) -> NDArray[np.float64]:
    """The positive float32 numbers with these bits."""
    whole: NDArray[np.float64] = np.clip(bits, 0, 0x7F7FFFFF).astype(np.uint32).view(np.float32).astype(np.float64)
    return whole
