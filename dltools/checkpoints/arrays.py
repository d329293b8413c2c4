"""Numpy arrays as bytes and back; dtypes named in a file make nothing but plain values."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dltools.errors import CheckpointError

PLAIN = "biufcSUmM"
"""Kinds of dtypes whose values are their bytes."""
NAMED = re.compile(rf"[<>|=][{PLAIN}]\d{{1,9}}(\[\d{{0,9}}[A-Za-z]{{1,2}}\])?")


def is_plain_dtype(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is told by its string: no objects, no fields."""
    return dtype.kind in PLAIN and NAMED.fullmatch(dtype.str) is not None


def array_from(data: bytearray | memoryview, dtype: str, shape: list[int], where: str) -> NDArray[Any]:
    """The array whose memory these bytes are."""
    if not NAMED.fullmatch(dtype):
        raise CheckpointError(f"{where} has dtype {dtype[:100]!r}")
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where} has dtype {dtype[:100]!r}") from error
    if len(data) != math.prod(shape) * kind.itemsize:
        raise CheckpointError(f"{where} has {len(data)} bytes", expected=f"those of {kind} {shape}")
    return np.ndarray(tuple(shape), kind, data)
