"""Sources and transforms of the tests."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dltools.rng import Key


class Noisy:
    """Samples with draws of the three global generators."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {
            "id": i,
            "noise": np.array([random.random(), np.random.rand(), torch.rand((), dtype=torch.float64).item()]),
        }


class Trap:
    """Numbers; one of them does something else until its file is there, which it makes first."""

    def __init__(self, n: int, at: int, file: Path, what: Exception | signal.Signals) -> None:
        self.n, self.at, self.file, self.what = n, at, file, what

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> int:
        if i == self.at and not self.file.exists():
            self.file.touch()
            if isinstance(self.what, signal.Signals):
                os.kill(os.getpid(), self.what)
            else:
                raise self.what
        return i


class OddError(Exception):
    """Cannot be made from its ``args``, so that it cannot be unpickled."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def shifted(sample: dict[str, Any], key: Key) -> dict[str, Any]:
    """A whole number of pixels along x and y."""
    return {**sample, "shift": key.numpy().integers(-15, 16, 2)}


def key_hex(sample: int, *, key: Key) -> tuple[int, str]:
    """The sample's id and the key it was given."""
    return sample, key.hex()


def take(loader: Any, count: int) -> list[Any]:
    """So many batches, pass after pass."""
    out: list[Any] = []
    while len(out) < count:
        for batch in loader:
            out.append(batch)
            if len(out) == count:
                break
    return out
