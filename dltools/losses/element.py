"""Losses of elements: a function of each number of a prediction and of the target in the same place."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from dltools.errors import ShapeError
from dltools.functional.targets import describe
from dltools.functional.widen import widen
from dltools.losses.base import LossCfg, T_co
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss, Pair, read_weights, refuse_values

ElementCfgT = TypeVar("ElementCfgT", bound="ElementLossCfg[Any]")


class ElementLossCfg(LossCfg[T_co]):
    """What losses of elements have: no more than all."""


class ElementLoss(MeanLoss[ElementCfgT]):
    """The weighted mean of a function of prediction and target, which are floats of one shape (N, ...).

    Excluded elements reach that function as 0. A mask or weight map has the shape of the target, or lacks a dimension.
    """

    mask_dim: ClassVar[int] = 1
    """The dimension that a mask may lack: 1, or -1 for all the last ones, as in (N, K) for key points (N, K, 2)."""
    whole: ClassVar[bool] = False
    """Whether a term is a vector along that dimension, which a mask excludes as a whole."""
    shares: ClassVar[bool] = False
    """Whether targets are 0 to 1; what lies beyond is left out and counted."""

    @abstractmethod
    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each element, in the same shape; with a size of 1 in ``mask_dim`` if terms are ``whole``."""

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pair = elements(view, mask_dim=self.mask_dim, whole=self.whole, shares=self.shares)
        if self.cfg.check:
            refuse_values(pair.bad, pair.target)
        terms, weight = pair.weigh(self.element(pair.pred, pair.target))
        return terms.squeeze(self.mask_dim) if self.whole else terms, weight


def elements(view: View, *, mask_dim: int = 1, whole: bool = False, shares: bool = False) -> Pair[Tensor]:
    """Prediction and target of a view, made once for all losses that read them so; see ``ElementLoss``."""

    def read() -> Pair[Tensor]:
        pred, target, mask, weight_map = view.tensors()
        legal = (target >= 0) & (target <= 1) if shares else None
        return read_elements(pred, target, mask, weight_map, mask_dim=mask_dim, whole=whole, legal=legal)

    return view.once(("elements", mask_dim, whole, shares), read)


def read_elements(
    pred: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
    weight_map: Tensor | None = None,
    *,
    mask_dim: int = 1,
    whole: bool = False,
    legal: Tensor | None = None,
) -> Pair[Tensor]:
    """Two tensors of floats of one shape, half precision as float32, 0 where excluded.

    Args:
        mask: what counts, in the shape of ``target``, or without ``mask_dim``; a size of 1 broadcasts.
        weight_map: weights, in the same shapes; 0 excludes.
        whole: whether a term is a vector along ``mask_dim``, not a number.
        legal: which targets are in range; others are left out and counted.

    Raises a ShapeError for what does not fit.

    >>> pair = read_elements(torch.tensor([1.0, torch.nan]), torch.zeros(2), torch.tensor([True, False]))
    >>> pair.pred, pair.num_valid
    (tensor([1., 0.]), tensor(1., dtype=torch.float64))
    """
    if hint := _misfit(pred, target, 1 + whole):
        raise ShapeError(describe(pred, target), expected="floats of one shape (N, ...)", hint=hint)
    shape = list(pred.shape)
    if whole:
        shape[mask_dim] = 1
    dtype = torch.promote_types(pred.dtype, torch.float32)
    found = read_weights(pred, shape, mask, weight_map, dtype=dtype, mask_dim=mask_dim, legal=legal)
    if found.valid is not None:
        pred, target = torch.where(found.valid, pred, 0), torch.where(found.valid, target, 0)
    return found.of(widen(pred), target.to(dtype))


def _misfit(pred: Tensor, target: Tensor, least: int) -> str:
    """What to do about tensors that do not fit; empty if they do."""
    for name, x in (("pred", pred), ("target", target)):
        if not x.is_floating_point():
            return f"{name}.float()"
    if pred.ndim < least:
        return "add the dimension of the samples in front"
    if pred.shape == target.shape:
        return ""
    sizes = [[size for size in x.shape if size != 1] for x in (pred, target)]
    return "target.view_as(pred)" if sizes[0] == sizes[1] else "nothing is broadcast: make the sizes equal"
