"""The gradients of one window: raw sums, and the number by which they are divided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from dltools.handlers.foreach import KERNELS


class Gradients:
    """Gradients that parameters hold, as sums over a window that still have to be divided by ``divisor``.

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([6.0, 8.0])
    >>> gradients = Gradients([weight], divisor=2.0)
    >>> gradients.norm(), gradients.tensors
    (tensor(5.), [tensor([6., 8.])])
    >>> gradients.settle()
    >>> gradients.tensors
    [tensor([3., 4.])]
    """

    def __init__(self, params: Iterable[Tensor], divisor: float | Tensor = 1.0) -> None:
        self.params: list[Tensor] = []
        """Those that have a gradient."""
        self.positions: list[int] = []
        """Where they stand among all parameters."""
        self.tensors: list[Tensor] = []
        """Their gradients, to be changed in place only; of a sparse one, the values."""
        self.size: int = 0
        """Number of all parameters."""
        for param in params:
            self.size += 1
            if param.grad is not None:
                self.positions.append(self.size - 1)
                self.params.append(param)
                self.tensors.append(_dense(param, param.grad))
        self.divisor: float | Tensor = divisor
        self.dtype: torch.dtype = torch.float64 if torch.float64 in {g.dtype for g in self.tensors} else torch.float32
        """Of norms and factors."""
        self.skipped: Tensor | None = None
        """Whether the update will be skipped, 0-d; None where nothing can skip."""
        self._norms: dict[float, tuple[Tensor, Tensor]] = {}

    def raw_norm(self, norm_type: float = 2.0) -> Tensor:
        """The norm of the sums, 0-d, not to be changed."""
        return self._both(norm_type)[0]

    def norm(self, norm_type: float = 2.0) -> Tensor:
        """The norm of the mean gradient, 0-d, not to be changed."""
        return self._both(norm_type)[1]

    def weigh(self, weight: int | Tensor) -> None:
        """Multiply in place; by 0 gives exact zeros, whatever the gradients are."""
        if isinstance(weight, Tensor):
            for grad in self.tensors:
                grad.mul_(weight.to(grad.device)).masked_fill_(weight.to(grad.device) == 0, 0)
        elif weight == 0:
            KERNELS._foreach_zero_(self.tensors)
        elif weight != 1:
            KERNELS._foreach_mul_(self.tensors, weight)
        self._norms.clear()

    def shrink(self, factor: Tensor) -> Tensor:
        """Multiply by a 0-d factor, together with the division; gives it back."""
        self.divisor = self.divisor / factor
        self._norms.clear()
        return factor

    def settle(self) -> None:
        """Divide in place, once."""
        if isinstance(self.divisor, Tensor):
            for device in {grad.device for grad in self.tensors}:
                here = [grad for grad in self.tensors if grad.device == device]
                KERNELS._foreach_div_(here, self.divisor.to(device))
        elif self.divisor != 1.0:
            KERNELS._foreach_div_(self.tensors, self.divisor)
        self.divisor = 1.0
        self._norms.clear()

    def _both(self, norm_type: float) -> tuple[Tensor, Tensor]:
        if norm_type not in self._norms:
            raw = total_norm(self.tensors, norm_type, self.dtype)
            is_mean = not isinstance(self.divisor, Tensor) and self.divisor == 1.0
            self._norms[norm_type] = raw, raw if is_mean else raw.div(self.divisor)
        return self._norms[norm_type]


def total_norm(tensors: list[Tensor], norm_type: float, dtype: torch.dtype) -> Tensor:
    """The norm of all tensors as one vector, 0-d; half precision in float32, sharded ones over all shards."""
    if not tensors:
        return torch.zeros((), dtype=dtype)
    return _whole(torch.linalg.vector_norm(_stacked(tensors, norm_type, dtype), norm_type))


def each_norm(tensors: list[Tensor], dtype: torch.dtype) -> Tensor:
    """The norm of each tensor in one vector."""
    return _whole(_stacked(tensors, 2.0, dtype)) if tensors else torch.zeros(0, dtype=dtype)


def _stacked(tensors: list[Tensor], norm_type: float, dtype: torch.dtype) -> Tensor:
    norms = KERNELS._foreach_norm(tensors, norm_type, dtype=dtype)
    first = norms[0].device
    return torch.stack([norm.to(first) for norm in norms])


def _whole(x: Any) -> Tensor:
    whole: Tensor = x.full_tensor() if hasattr(x, "full_tensor") else x
    return whole


def _dense(param: Tensor, grad: Tensor) -> Tensor:
    """A gradient as real numbers that can be changed in place."""
    if grad.is_sparse:
        param.grad = grad = grad.coalesce()
        grad = grad._values()
    return torch.view_as_real(grad) if grad.is_complex() else grad
