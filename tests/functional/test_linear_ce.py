"""A linear layer and its cross entropy at once, against the two one after the other."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from dltools.errors import ConfigError, ShapeError
from dltools.functional import linear_cross_entropy


def given(dtype: torch.dtype = torch.float64, *rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((*rows, 4), (7, 4), (7,)))
    target = torch.randint(0, 7, rows, generator=generator)
    if target.numel() > 2:
        target.view(-1)[:2] = torch.tensor([-100, 3])
    return x.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), bias.to(dtype).requires_grad_(), target


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and not out._is_view():
            self.size = max(self.size, out.numel())
        return out


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("ignore", [-100, 3])
def test_it_is_one_after_the_other(reduction: Any, with_bias: bool, smoothing: float, ignore: int) -> None:
    for rows, chunk in itertools.product(((5,), (2, 3), (), (0,)), (None, 1, 2, 100)):
        x, weight, bias, target = given(torch.float64, *rows)
        target = target.where(target >= 0, torch.tensor(ignore))
        own, leaves = bias if with_bias else None, (x, weight, *[bias][: int(with_bias)])
        how: dict[str, Any] = {"ignore_index": ignore, "label_smoothing": smoothing, "reduction": reduction}
        loss = linear_cross_entropy(x, weight, target, bias=own, chunk=chunk, **how)
        flat = F.linear(x, weight, own).reshape(-1, 7)
        expected = F.cross_entropy(flat, target.reshape(-1), **how).reshape(loss.shape)
        if reduction == "mean" and not (target != ignore).any():
            expected = 0 * flat.sum()
        torch.testing.assert_close(loss, expected, rtol=1e-13, atol=1e-14)
        slopes = torch.linspace(0.5, 2, loss.numel(), dtype=torch.float64).view(loss.shape)
        for one, two in zip(*(torch.autograd.grad(y, leaves, slopes) for y in (loss, expected)), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_finite_differences(reduction: Any) -> None:
    x, weight, bias, target = given(torch.float64, 5)

    def call(*parts: Tensor) -> Tensor:
        return linear_cross_entropy(
            parts[0], parts[1], target, bias=parts[2], label_smoothing=0.1, reduction=reduction, chunk=2
        )

    assert gradcheck(call, (x, weight, bias))
    assert gradgradcheck(call, (x, weight, bias))


def test_its_gradients_may_be_asked_for_twice_and_its_weight_used_twice() -> None:
    x, weight, _, target = given(torch.float64, 6)
    loss = 3 * linear_cross_entropy(x, weight, target) + linear_cross_entropy(2 * x, weight, target, reduction="sum")
    first = torch.autograd.grad(loss, (x, weight), retain_graph=True)
    second = torch.autograd.grad(loss, (x, weight))
    expected = 3 * F.cross_entropy(x @ weight.T, target) + F.cross_entropy(2 * x @ weight.T, target, reduction="sum")
    for one, two, three in zip(first, second, torch.autograd.grad(expected, (x, weight)), strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(one, three, rtol=1e-12, atol=1e-14)


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    x, weight, bias, target = given(torch.float64, 6)
    loss = linear_cross_entropy(x.detach(), weight, target, bias=bias.detach())
    (grad,) = torch.autograd.grad(loss, weight)
    expected = torch.autograd.grad(F.cross_entropy(F.linear(x, weight, bias), target), weight)[0]
    torch.testing.assert_close(grad, expected, rtol=1e-12, atol=1e-14)
    with torch.no_grad():
        assert not linear_cross_entropy(x, weight, target).requires_grad


def test_what_does_not_count_changes_nothing() -> None:
    x, weight, bias, target = given(torch.float64, 6)
    kept = linear_cross_entropy(x[2:], weight, target[2:], bias=bias)
    with torch.no_grad():
        x[:2] = torch.nan
    target[0], target[1] = -100, 7
    loss = linear_cross_entropy(x, weight, target, bias=bias)
    torch.testing.assert_close(loss, kept, rtol=1e-13, atol=0)
    for grad in torch.autograd.grad(loss, (x, weight, bias)):
        assert bool(grad.isfinite().all())
        assert grad.shape != x.shape or not grad[:2].any()
    nothing = linear_cross_entropy(x, weight, torch.full((6,), -100), bias=bias)
    assert nothing.item() == 0
    assert not any(grad.any() for grad in torch.autograd.grad(nothing, (x, weight, bias)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    for autocast in (False, True):
        x, weight, bias, target = given(dtype, 40)
        exact = [part.detach().double().requires_grad_() for part in (x, weight, bias)]
        leaves = [part.detach().float().requires_grad_() if autocast else part for part in (x, weight, bias)]
        with torch.autocast("cpu", dtype=dtype, enabled=autocast):
            loss = linear_cross_entropy(leaves[0], leaves[1], target, bias=leaves[2], chunk=3)
        expected = F.cross_entropy(F.linear(exact[0], exact[1], exact[2]), target)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), expected, rtol=1e-2, atol=0)
        for one, two, leaf in zip(
            torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, exact), leaves, strict=True
        ):
            assert one.dtype == leaf.dtype
            torch.testing.assert_close(one.double(), two, rtol=0.05, atol=2e-3)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_scores_are_never_there_at_once(reduction: Any) -> None:
    x, weight = torch.randn(64, 4, requires_grad=True), torch.randn(50, 4, requires_grad=True)
    with Largest() as largest:
        linear_cross_entropy(x, weight, torch.arange(64) % 50, reduction=reduction, chunk=4).sum().backward()
    assert largest.size == max(64 * 4, 50 * 4)


def test_one_graph() -> None:
    x, weight, bias, target = given(torch.float64, 6)
    torch._dynamo.reset()
    compiled = torch.compile(linear_cross_entropy, fullgraph=True, backend="aot_eager")
    found, expected = (f(x, weight, target, bias=bias, chunk=4) for f in (compiled, linear_cross_entropy))
    torch.testing.assert_close(found, expected)
    for one, two in zip(*(torch.autograd.grad(y, (x, weight, bias)) for y in (found, expected)), strict=True):
        torch.testing.assert_close(one, two)


def test_what_does_not_fit_is_told() -> None:
    x, weight, bias, target = given(torch.float32, 6)
    wrong: list[tuple[Any, str]] = [
        ((x, weight, target.float()), r"target.long\(\)"),
        ((x, weight, target[1:]), "one row of x for each label"),
        ((x, weight.T, target), "weight.T"),
        ((x, weight, target, bias[1:]), "one bias"),
        ((x.double(), weight, target), r"x.to\(weight.dtype\)"),
    ]
    for (a, b, c, *d), message in wrong:
        with pytest.raises(ShapeError, match=message):
            linear_cross_entropy(a, b, c, bias=d[0] if d else None)
    with pytest.raises(ConfigError, match="chunk is 0"):
        linear_cross_entropy(x, weight, target, chunk=0)
