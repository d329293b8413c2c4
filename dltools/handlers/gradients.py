"""The gradients of one window: raw sums, and the number by which they are divided."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from dltools.handlers.foreach import KERNELS
from dltools.handlers.sharded import Split, is_sharded, norms_of_wholes, own_part, settle_parts


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
        """Their gradients, to be changed in place only; of a sparse one the values, of a sharded one this rank's."""
        self.splits: list[Split] = []
        """How each is split over ranks."""
        self.size: int = 0
        """Number of all parameters."""
        for param in params:
            self.size += 1
            if param.grad is not None:
                self.positions.append(self.size - 1)
                self.params.append(param)
                tensor, split = _dense(param)
                self.tensors.append(tensor)
                self.splits.append(split)
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

    def each_norm(self, norm_type: float = 2.0) -> Tensor:
        """The norm of each gradient in one vector, of what ``tensors`` are now; sharded ones over all their parts."""
        parts = self.tensors
        if not parts:
            return torch.zeros(0, dtype=self.dtype)
        if math.isinf(norm_type):  # which an empty part does not have
            parts = [part if part.numel() else part.new_zeros(1) for part in parts]
        norms = KERNELS._foreach_norm(parts, norm_type, dtype=self.dtype)
        if any(self.splits):
            groups = [tuple(group for _, group in split) for split in self.splits]
            norms = norms_of_wholes(norms, groups, norm_type)
        return torch.stack([norm.to(norms[0].device) for norm in norms])

    def _both(self, norm_type: float) -> tuple[Tensor, Tensor]:
        if norm_type not in self._norms:
            each = self.each_norm(norm_type)
            raw = torch.linalg.vector_norm(each, norm_type) if self.tensors else each.sum()
            is_mean = not isinstance(self.divisor, Tensor) and self.divisor == 1.0
            self._norms[norm_type] = raw, raw if is_mean else raw.div(self.divisor)
        return self._norms[norm_type]


def _dense(param: Tensor) -> tuple[Tensor, Split]:
    """A gradient as real numbers that can be changed in place, as far as it is here, and how the whole is split."""
    grad: Any = param.grad
    if grad.is_sparse:
        param.grad = grad = grad.coalesce()
        return grad._values(), ()
    if is_sharded(grad):
        settle_parts(param)
    part, split = own_part(param.grad)
    return (torch.view_as_real(part) if part.is_complex() else part), split
