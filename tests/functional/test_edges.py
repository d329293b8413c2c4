"""Soft morphology against pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.functional import soft_edges
from dltools.functional.edges import dilate, erode, shave

SIZES = [(), (1,), (7,), (5, 6), (1, 4), (3, 4, 5), (2, 1, 3)]
POOLS: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def pooled(x: Tensor, window: int | tuple[int, ...] = 3) -> Tensor:
    d = x.ndim - 2
    windows = (window,) * d if isinstance(window, int) else window
    return POOLS[d](x, windows, 1, tuple(k // 2 for k in windows)) if d else x


def by_cross(x: Tensor) -> Tensor:
    """The least of the pixels along each dimension."""
    d = x.ndim - 2
    found = x
    for k in range(d):
        found = torch.minimum(found, -pooled(-x, tuple(3 if i == k else 1 for i in range(d))))
    return found


MORPHOLOGY: list[tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = [
    (dilate, pooled),
    (erode, lambda x: -pooled(-x)),
    (shave, by_cross),
    (soft_edges, lambda x: pooled(x) + pooled(-x)),
]


def numbers(*sizes: int) -> Tensor:
    return torch.randn(2, 3, *sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("pair", MORPHOLOGY)
def test_it_is_pooling(pair: Any, sizes: tuple[int, ...]) -> None:
    x = numbers(*sizes)
    weight = torch.arange(x.numel(), dtype=torch.float64).view(x.shape)
    found, right = (function(x) for function in pair)
    torch.testing.assert_close(found, right, rtol=0, atol=0)
    one, two = (torch.autograd.grad((out * weight).sum(), x)[0] for out in (found, right))
    torch.testing.assert_close(one, two, rtol=1e-14, atol=1e-12)


@pytest.mark.parametrize("function", [dilate, erode, shave, soft_edges])
def test_derivatives(function: Any) -> None:
    for sizes in ((4,), (3, 4)):
        x = numbers(*sizes)
        assert gradcheck(function, x)
        assert gradgradcheck(lambda x: function(x) ** 2, x)


@pytest.mark.parametrize("sizes", [(0,), (3, 0), (0, 2, 2)])
def test_of_nothing_is_nothing(sizes: tuple[int, ...]) -> None:
    assert soft_edges(numbers(*sizes)).shape == (2, 3, *sizes)
    assert soft_edges(torch.zeros(0, 2, 4, 4)).shape == (0, 2, 4, 4)


def test_the_slope_of_equal_numbers_is_that_of_the_middle_one() -> None:
    x = torch.tensor([[[1.0, 1.0, 0.0, 2.0, 2.0, 2.0]]], requires_grad=True)
    # largest: 1 1 2 2 2 2, smallest: 1 0 0 0 2 2
    for function, slope in ((dilate, [1, 1, 0, 2, 1, 1]), (erode, [1, 0, 3, 0, 1, 1])):
        (grad,) = torch.autograd.grad(function(x).sum(), x)
        assert grad.tolist() == [[slope]]


def test_edges_are_one_graph() -> None:
    x = numbers(4, 5)
    torch.compiler.reset()
    compiled = torch.compile(lambda x: soft_edges(x).square().sum(), fullgraph=True, backend="aot_eager")
    one, two = (torch.autograd.grad(f(x), x)[0] for f in (compiled, lambda x: soft_edges(x).square().sum()))
    assert torch.equal(one, two)
