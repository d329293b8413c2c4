"""Clipping: a bound on the size of the gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, TypeVar

import torch
from annotated_types import Gt
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError
from dltools.handlers.foreach import KERNELS
from dltools.handlers.gradients import Gradients
from dltools.handlers.sharded import norms_of_wholes, own_part

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="ClipCfg[Any]")


class ClipCfg(Config[T_co]):
    """The family of ways to bound the gradient."""

    def build(self) -> T_co:
        """The clip."""
        return self.product()(self)


class Clip(Component[CfgT], ABC):
    """Called once per update, after all ranks' gradients were added and before they are applied."""

    norm_type: float = 2.0
    """Order of the norm that the gradients come with, and that is logged."""

    @abstractmethod
    def __call__(self, gradients: Gradients) -> Tensor:
        """Shorten the gradients; gives the share of their norm that is left, 0-d.

        One factor for all goes into ``gradients.shrink``, which costs nothing. What treats tensors or elements apart
        first calls ``gradients.settle()`` and then changes ``gradients.tensors`` in place. What remembers norms leaves
        out those of ``gradients.skipped``.
        """


class ClipNormCfg(ClipCfg["ClipNorm"]):
    """Bound the norm of all gradients together."""

    max_norm: Positive
    """Longer gradients are shortened to it."""
    norm_type: Annotated[float, Gt(0)] = 2.0
    """Order p of the norm; ``.inf`` for the largest element."""


class ClipNorm(Clip[ClipNormCfg]):
    """Multiply all gradients by :math:`\\min(1, max\\_norm / norm)`; nothing is added to the norm.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> ClipNorm(max_norm=1.0)(Gradients([weight]))
    tensor(0.2000)

    Pascanu et al. 2012, arXiv:1211.5063.
    """

    def setup(self) -> None:
        self.norm_type: float = self.cfg.norm_type

    def __call__(self, gradients: Gradients) -> Tensor:
        return gradients.shrink(gradients.norm(self.norm_type).reciprocal().mul_(self.cfg.max_norm).clamp_(max=1.0))


class ClipValueCfg(ClipCfg["ClipValue"]):
    """Bound each element of the gradient."""

    max_value: Positive
    """Elements are brought into [-max_value, max_value]."""


class ClipValue(Clip[ClipValueCfg]):
    """Bring each element into :math:`[-v, v]`.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, -0.5])
    >>> share = ClipValue(max_value=1.0)(Gradients([weight]))
    >>> weight.grad
    tensor([ 1.0000, -0.5000])
    """

    def __call__(self, gradients: Gradients) -> Tensor:
        before = gradients.norm()
        gradients.settle()
        if gradients.tensors:
            KERNELS._foreach_clamp_max_(gradients.tensors, self.cfg.max_value)
            KERNELS._foreach_clamp_min_(gradients.tensors, -self.cfg.max_value)
        return left(before, gradients.norm())


class AGCCfg(ClipCfg["AGC"]):
    """Bound the gradient of each output unit by the size of its weights."""

    ratio: Positive = 0.01
    """Largest norm of the gradient, in norms of the weights."""
    eps: Positive = 1e-3
    """Least norm of the weights that is reckoned with: new units start at 0."""


class AGC(Clip[AGCCfg]):
    r"""Adaptive gradient clipping: per output unit :math:`\|g\| \le r \max(\|w\|, \epsilon)`.

    A unit is a slice along dimension 0 of a matrix or convolution; a bias or gain, of whatever rank, is one unit.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    >>> weight.grad = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    >>> share = AGC(ratio=0.1)(Gradients([weight]))
    >>> weight.grad
    tensor([[0.0000, 0.5000],
            [0.0000, 0.0500]])

    Brock et al. 2021, arXiv:2102.06171.
    """

    def __call__(self, gradients: Gradients) -> Tensor:
        before = gradients.norm()
        gradients.settle()
        sizes, bounds = self._units(gradients)
        for grad, size, bound in zip(gradients.tensors, sizes, bounds, strict=True):
            factor = bound.clamp_min_(self.cfg.eps).mul_(self.cfg.ratio).div_(size).clamp_(max=1.0)
            grad.mul_(factor.to(grad.dtype))
        return left(before, gradients.norm())

    def _units(self, gradients: Gradients) -> tuple[list[Tensor], list[Tensor]]:
        """Norms of the units of gradients and of weights, each shaped so that it spreads over its tensor."""
        sizes, bounds, groups = list[Tensor](), list[Tensor](), []
        for param, grad, split in zip(gradients.params, gradients.tensors, gradients.splits, strict=True):
            weight, _ = own_part(param.detach())
            if weight.shape[:1] != grad.shape[:1]:
                raise ConfigError("AGC got a sparse gradient", expected="dense ones", hint="ClipNorm takes both")
            weight = torch.view_as_real(weight) if weight.is_complex() else weight
            has_units = param.ndim == 2 or sum(size > 1 for size in param.shape) > 1
            dims = tuple(range(1 if has_units else 0, grad.ndim))
            for found, x in ((sizes, grad), (bounds, weight)):
                found.append(torch.linalg.vector_norm(x, dim=dims, keepdim=True, dtype=gradients.dtype))
            groups.append(tuple(group for dim, group in split if dim in dims))
        both = norms_of_wholes(sizes + bounds, groups + groups, 2.0)
        return both[: len(sizes)], both[len(sizes) :]


def left(before: Tensor, after: Tensor) -> Tensor:
    """The share of a norm that is left; 1 of nothing."""
    return torch.where(before > 0, after / before, 1.0)
