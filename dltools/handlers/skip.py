"""Skipping: updates that would do harm are not made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

from torch import Tensor

from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="SkipCfg[Any]")


class SkipCfg(Config[T_co]):
    """The family of reasons to skip an update."""

    def build(self) -> T_co:
        """The gate."""
        return self.product()(self)


class Skip(Component[CfgT], ABC):
    """Called once per update, with what all ranks agree on; an update that any gate skips changes nothing."""

    @abstractmethod
    def __call__(self, norm: Tensor, loss: Tensor | None) -> Tensor:
        """1 to skip, 0 to go on: a new 0-d float tensor, never read on the host.

        ``norm`` is that of the mean gradient; ``loss`` is the last one of the window, on this rank, or None.
        """


class SkipNonFiniteCfg(SkipCfg["SkipNonFinite"]):
    pass


class SkipNonFinite(Skip[SkipNonFiniteCfg]):
    """Skip updates whose gradient norm is infinite or NaN.

    >>> import torch
    >>> skip = SkipNonFinite()
    >>> [skip(torch.tensor(norm), None).item() for norm in (1.0, float("inf"), float("nan"))]
    [0.0, 1.0, 1.0]
    """

    def __call__(self, norm: Tensor, loss: Tensor | None) -> Tensor:
        return non_finite(norm)


def non_finite(x: Tensor) -> Tensor:
    """1 where ``x`` is infinite or NaN, else 0, in two small kernels."""
    return x.sub(x).ne_(0)
