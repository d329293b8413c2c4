"""Backward passes whose losses are weighted by their counts, and dropped where a count is 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dltools.handlers.accumulate import Count


class Backward:
    """Adds the gradient of ``weight x scale x loss`` to the parameters' gradients."""

    def __init__(self) -> None:
        self._seeds: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}

    def __call__(
        self, loss: Tensor, weight: Count, scale: Tensor | None, params: Sequence[Tensor], count: Count | None
    ) -> None:
        """``count`` 0 adds exact zeros, whatever the loss is: its passes are run, and their gradients replaced."""
        seed = self._seed(loss, weight)
        if scale is not None:
            seed = seed * scale
        if isinstance(count, Tensor):
            is_empty = count.to(loss.device) == 0
            with _replaced(params, lambda grad: grad.masked_fill(is_empty.to(grad.device), 0)):
                torch.autograd.backward(loss, seed)
        elif count == 0:
            with _replaced(params, torch.zeros_like):
                torch.autograd.backward(loss, seed)
        else:
            torch.autograd.backward(loss, seed)

    def _seed(self, loss: Tensor, weight: Count) -> Tensor:
        """The gradient of the result by the loss; kept, since most micro-batches have the same count."""
        if isinstance(weight, Tensor):
            return weight.to(loss.device, loss.dtype)
        key = weight, loss.dtype, loss.device
        if key not in self._seeds:
            if len(self._seeds) > 64:
                self._seeds.clear()
            self._seeds[key] = torch.full_like(loss.detach(), weight)
        return self._seeds[key]


def leaves_of(loss: Tensor) -> list[Tensor]:
    """The parameters that a loss was computed from, as they were then: under FSDP2 whole ones, not their shards.

    >>> w = torch.nn.Parameter(torch.ones(()))
    >>> leaves_of((2 * w).exp())
    [Parameter containing: tensor(1., requires_grad=True)]
    """
    found: list[Tensor] = []
    waiting, seen = [loss.grad_fn], {loss.grad_fn, None}
    while waiting:
        node: Any = waiting.pop()
        if node is None:
            continue
        if isinstance(getattr(node, "variable", None), torch.nn.Parameter):
            found.append(node.variable)
        for after, _ in node.next_functions:
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return found


@contextmanager
def _replaced(params: Sequence[Any], change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within it gradients of parameters are changed on their way, before anybody adds them up."""
    handles = [param.register_hook(change) for param in params if param.requires_grad]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
