"""Accumulation: the gradient of several micro-batches as if they had been one batch."""

from __future__ import annotations

import operator
from typing import Any, Literal

from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError

Count = int | Tensor


class AccumulateCfg(Config["Accumulate"]):
    """How many micro-batches make an update, and what their losses are."""

    window: PositiveInt = 1
    """Micro-batches per update."""
    loss: Literal["mean", "sum"] = "mean"
    """Whether a loss is the mean over its count or the sum."""

    def build(self) -> Accumulate:
        """An empty window."""
        return Accumulate(self)


class Accumulate(Component[AccumulateCfg]):
    r"""The open window: :math:`\sum_k n_k \nabla mean_k / \sum_k n_k` over micro-batches and ranks, divided once.

    Losses are weighted by their counts before they are differentiated, and the sum is divided by the whole count.
    Without counts each micro-batch counts as 1.

    >>> window = Accumulate(window=2)
    >>> for count in (3, 1):
    ...     window.add(window.checked(count))
    >>> window.size, window.total, window.weight(3)
    (2, 4, 3)
    """

    def setup(self) -> None:
        self.estimate: float | Tensor | None = None
        """With fp16: about the count of a window on one rank, by which losses are divided beforehand; found once."""
        self.clear()

    def clear(self) -> None:
        """Begin a new window."""
        self.size: int = 0
        """Micro-batches so far."""
        self.total: Count | None = None
        """Sum of their counts on this rank; None where there are none."""
        self.scale: Tensor | None = None
        """The loss scale of this window."""
        self.is_local: bool = False
        """Whether gradients of it are still those of this rank alone."""

    def checked(self, count: Count | None) -> Count | None:
        """The count, or a ConfigError."""
        if self.size and (count is None) != (self.total is None):
            raise ConfigError(
                f"count is {count!r} in micro-batch {self.size + 1} of a window that began "
                f"{'without counts' if self.total is None else 'with counts'}",
                expected="counts for all micro-batches of a window, or for none",
            )
        if count is None:
            return None
        if isinstance(count, Tensor):
            if count.dim() or count.is_floating_point() or count.is_complex():
                raise ConfigError(
                    f"count is a {count.dtype} tensor of shape {list(count.shape)}",
                    expected="an int, or a 0-d integer tensor",
                )
            return count.detach()
        return _checked(count)

    def add(self, count: Count | None) -> None:
        """One more micro-batch."""
        self.size += 1
        if count is not None:
            self.total = count if self.total is None else self.total + count

    def weight(self, count: Count | None) -> Count:
        """By what a loss is multiplied to be a sum."""
        return 1 if count is None or self.cfg.loss == "sum" else count

    def whole(self) -> Count:
        """The count of all micro-batches so far."""
        return self.size if self.total is None else self.total


def _checked(count: Any) -> int:
    try:
        whole = operator.index(count)
    except TypeError:
        whole = -1
    if whole < 0 or isinstance(count, bool):
        raise ConfigError(f"count is {count!r}", expected="an integer >= 0", hint="count=len(y), or leave it out")
    return whole
