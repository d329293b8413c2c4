"""Means of terms of which some count and some do not, each as much as masks and weight maps say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from dltools.errors import DltoolsError, ShapeError
from dltools.functional.sums import ratio, total
from dltools.losses.base import CfgT, Loss
from dltools.losses.distutils import Sums
from dltools.losses.view import View

T = TypeVar("T")


@dataclass(frozen=True)
class Weighing:
    """Which terms of a loss count, and how much."""

    valid: Tensor | None
    """In the shape of the terms, or one that broadcasts to it; None if all count."""
    weights: Tensor | None
    """0 where a term does not count; None if all weigh 1."""
    num_samples: int
    num_valid: Tensor
    """Number of terms that count, in float64."""
    bad: Tensor
    """Number of terms left out because their target is out of range."""
    dtype: torch.dtype
    """Of the loss: float32 or better."""

    def weigh(self, terms: Tensor) -> tuple[Tensor, Tensor]:
        """Terms times their weights, 0 where excluded; and the sum of the weights."""
        if self.valid is not None:
            terms = torch.where(self.valid, terms, 0)
        if self.weights is None:
            return terms, self.num_valid
        return terms * self.weights, total(self.weights) * _times(terms.shape, self.weights)

    def of(self, pred: T, target: T) -> Pair[T]:
        """A pair whose terms are weighed so."""
        fields: dict[str, Any] = vars(self)
        return Pair(**fields, pred=pred, target=target)


@dataclass(frozen=True)
class Pair(Weighing, Generic[T]):
    """A prediction and its target, in the dtype of the loss and 0 where excluded."""

    pred: T
    target: T


def read_weights(
    pred: Tensor,
    shape: Sequence[int],
    mask: Tensor | None,
    weight_map: Tensor | None,
    *,
    dtype: torch.dtype,
    mask_dim: int = 1,
    legal: Tensor | None = None,
) -> Weighing:
    """How much terms of a shape count; those that are not ``legal`` are left out and counted."""
    valid, weights = None if mask is None else spread(mask, shape, mask_dim, "mask") != 0, None
    if weight_map is not None:
        weights = spread(weight_map, shape, mask_dim, "weight_map").detach().to(dtype)
        valid = weights != 0 if valid is None else valid & (weights != 0)
    bad = torch.zeros((), dtype=torch.float64, device=pred.device)
    num_valid = bad + torch.Size(shape).numel() if valid is None else _count(valid, shape)
    if legal is not None:
        wanted, valid = num_valid, legal if valid is None else valid & legal
        num_valid = _count(valid, shape)
        bad = wanted - num_valid
    if weights is not None and valid is not None:
        weights = torch.where(valid, weights, 0)
    return Weighing(valid, weights, len(pred), num_valid, bad, dtype)


def _count(valid: Tensor, shape: Sequence[int]) -> Tensor:
    return valid.count_nonzero().double() * _times(shape, valid)


def _times(shape: Sequence[int], x: Tensor) -> float:
    """How often each number of ``x`` stands in a shape that it broadcasts to."""
    return torch.Size(shape).numel() / max(x.numel(), 1)


def spread(x: Tensor, shape: Sequence[int], dim: int, name: str) -> Tensor:
    """A tensor with as many dimensions as a shape to which it broadcasts.

    It may lack dimension 1 if ``dim`` is 1, as the mask of an image (N, *S) does, or the last ones if it is -1, as the
    visibility (N, K) of key points (N, K, 2) does.
    """
    missing, fit = len(shape) - x.ndim, x
    if dim == 1 and missing == 1 and x.ndim:
        fit = x.unsqueeze(1)
    elif dim == -1 and missing > 0:
        fit = x.view(*x.shape, *[1] * missing)
    if fit.ndim != len(shape) or any(have not in (1, want) for have, want in zip(fit.shape, shape, strict=True)):
        less = tuple(shape[:-1]) if dim == -1 else (*shape[:1], *shape[2:])
        legal = f"{name} {tuple(shape)}" + (f" or {less}" if len(shape) > 1 else "")
        raise ShapeError(f"{name} {tuple(x.shape)}", expected=legal, hint="size 1 where it is the same for all")
    return fit


def refuse_values(bad: Tensor, *targets: Tensor) -> None:
    """Look at targets, 0 where excluded; only for ``check=True``."""
    if int(bad):
        raise DltoolsError(f"{int(bad)} targets are out of range", expected="targets 0 to 1", hint="mask excludes them")
    if not all(bool(target.isfinite().all()) for target in targets):
        raise DltoolsError("target is not finite", expected="finite numbers where it counts", hint="mask excludes it")


class MeanLoss(Loss[CfgT]):
    """The weighted mean of terms: of elements, samples, or whatever else the loss is made of."""

    @abstractmethod
    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        """Terms times their weights, 0 where excluded; and the sum of the weights."""

    def sums(self, view: View) -> Sums:
        terms, weight = self.weighed(view)
        return {"loss": terms} if self.cfg.reduction == "none" else {"loss": total(terms), "weight": weight}

    def value(self, sums: Sums) -> Tensor:
        return ratio(sums["loss"], sums["weight"]) if self.cfg.reduction == "mean" else sums["loss"]
