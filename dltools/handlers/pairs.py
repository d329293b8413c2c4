"""Tensors of a model beside those of its average, wherever both are now; small ones of the average in one piece."""

from __future__ import annotations

from operator import getitem
from typing import Any

import torch
import torch._utils
from torch import Tensor, nn

from dltools.handlers.foreach import lerp_, share_of

FLATTEN: Any = torch._utils._flatten_dense_tensors
"""Joins tensors in one call; ``torch.cat`` would want a view of each."""
SMALL = 1024
"""Numbers up to which a tensor costs more to be looked at than to be copied."""


class Pairs:
    """Tensors looked up where they are kept: in the modules' tables, since one may move or be replaced."""

    def __init__(self) -> None:
        self._sources: list[dict[str, Any]] = []
        self._owns: list[dict[str, Any]] = []
        self._keys: list[str] = []

    def add(self, source: dict[str, Any], own: dict[str, Any], key: str) -> None:
        """The tensor under ``key`` in two modules' tables of parameters or buffers."""
        self._sources.append(source)
        self._owns.append(own)
        self._keys.append(key)

    def owns(self) -> list[Tensor]:
        """Those of the average."""
        return list(map(getitem, self._owns, self._keys))

    def sources(self) -> list[Tensor]:
        """Those of the model."""
        return list(map(getitem, self._sources, self._keys))

    def tensors(self, *, cast: bool) -> tuple[list[Tensor], list[Tensor]]:
        """The average's and the model's, as they are now; ``cast``: the model's in dtype and place of the average's."""
        old, new = self.owns(), self.sources()
        return old, ([x.to(y) for x, y in zip(new, old, strict=True)] if cast else new)

    def ends(self) -> tuple[Tensor, Tensor]:
        """The first and the last of the average."""
        return self._owns[0][self._keys[0]], self._owns[-1][self._keys[-1]]


class Packed:
    """Small parameters of one dtype and device, whose averages are parts of one tensor: one kernel moves all of them.

    >>> model, average = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> pairs = Pairs()
    >>> for key in model._parameters:
    ...     pairs.add(model._parameters, average._parameters, key)
    >>> Packed(pairs).lerp_(1.0)
    >>> all(torch.equal(a, b) for a, b in zip(model.parameters(), average.parameters()))
    True
    """

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._whole = self._pack()

    @staticmethod
    def takes(module: nn.Module, param: Tensor) -> bool:
        """Whether a parameter of a module may be moved into one tensor with others."""
        is_plain = type(param) is nn.Parameter and param.is_contiguous() and not param.is_complex()
        return is_plain and 0 < param.numel() <= SMALL and not isinstance(module, nn.RNNBase)  # which packs its own

    def lerp_(self, weight: float, skipped: Tensor | None = None) -> None:
        """``average += weight * (model - average)``; nothing where ``skipped``, 0-d, is set."""
        if not self._is_whole():
            self._whole = self._pack()
        whole = self._whole
        if whole is None:
            lerp_(*self._pairs.tensors(cast=True), weight, skipped)
            return
        new = FLATTEN(self._pairs.sources()).detach().to(whole)
        whole.lerp_(new, weight if skipped is None else share_of(skipped, weight, whole))

    def _is_whole(self) -> bool:
        """Whether the average is where it was packed: if it moves, its first and last tensor do."""
        whole, (first, last) = self._whole, self._pairs.ends()
        if whole is None or first.data_ptr() != whole.data_ptr() or first.dtype != whole.dtype:
            return False
        return last.data_ptr() + last.nbytes == whole.data_ptr() + whole.nbytes

    def _pack(self) -> Tensor | None:
        """The average's tensors as one, of which they become parts; None if they are not of one kind any more."""
        own = self._pairs.owns()
        if len({(x.device, x.dtype) for x in own}) > 1:
            return None
        whole: Tensor = FLATTEN([x.detach() for x in own])
        parts = torch.split(whole, [x.numel() for x in own])
        for x, part in zip(own, parts, strict=True):
            x.data = part.view_as(x)
        return whole
