"""The hand-written backward against autograd of plain operations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.functional.softmax_pass import softmax_pass, sum_of_squares


def plain(logits: Tensor, index: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    log_probs = logits.masked_fill(~valid.unsqueeze(1), 0).log_softmax(1)
    return log_probs.gather(1, index.unsqueeze(1)).squeeze(1) * valid, log_probs.exp() * valid.unsqueeze(1)


def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for sizes in ((), (5,), (3, 2), (2, 2, 3), (0,)):
        for num_samples in (0, 3):
            logits = torch.randn(num_samples, 4, *sizes, generator=generator, dtype=torch.float64)
            index = torch.randint(0, 4, (num_samples, *sizes), generator=generator)
            yield logits, index, torch.rand(index.shape, generator=generator) > 0.3


def gradients(outputs: tuple[Tensor, Tensor], logits: Tensor, parts: str) -> list[Tensor]:
    """By the logits, twice; some outputs may be unused, as by a loss that does not need them."""
    generator = torch.Generator().manual_seed(1)
    log_p, p = outputs
    loss = torch.zeros((), dtype=torch.float64)
    for name, x in (("log_p", log_p), ("p", p.square()), ("sums", p.flatten(2).sum(2) if p.ndim > 2 else p)):
        if name in parts.split():
            loss = loss + (x * torch.rand(x.shape, generator=generator, dtype=torch.float64)).sum()
    (first,) = torch.autograd.grad(loss, logits, create_graph=True)
    (second,) = torch.autograd.grad((first * torch.linspace(0, 1, first.numel()).view_as(first)).sum(), logits)
    return [first.detach(), second]


@pytest.mark.parametrize("parts", ["log_p", "p", "sums", "log_p p sums"])
def test_values_and_derivatives_are_those_of_plain_operations(parts: str) -> None:
    for logits, index, valid in batches():
        logits.requires_grad_()
        ours, theirs = softmax_pass(logits, index, valid), plain(logits, index, valid)
        for one, two in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-13, atol=1e-14)
        for one, two in zip(gradients(ours, logits, parts), gradients(theirs, logits, parts), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-13)


def test_finite_differences() -> None:
    for logits, index, valid in batches():
        if logits.numel():
            assert gradcheck(lambda x, i=index, v=valid: softmax_pass(x, i, v), logits.requires_grad_())
            assert gradgradcheck(lambda x, i=index, v=valid: softmax_pass(x, i, v), logits)
            assert gradcheck(sum_of_squares, logits)
            assert gradgradcheck(sum_of_squares, logits)


def test_nothing_leaks_from_what_is_not_valid() -> None:
    logits = torch.full((1, 3, 4), torch.nan)
    logits[:, :, 0] = 0
    logits.requires_grad_()
    log_p, p = softmax_pass(logits, torch.zeros(1, 4, dtype=torch.int64), torch.arange(4).view(1, 4) == 0)
    assert log_p[0, 1:].abs().max() == 0
    assert p[:, :, 1:].abs().max() == 0
    (log_p.sum() + (p * torch.arange(12).view(1, 3, 4)).sum() + sum_of_squares(p).sum()).backward()
    assert logits.grad is not None
    assert logits.grad[:, :, 1:].abs().max() == 0
    assert logits.grad[:, :, 0].abs().min() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    for logits, index, valid in batches():
        half = logits.to(dtype).requires_grad_()
        single = half.detach().float().requires_grad_()
        ours, theirs = softmax_pass(half, index, valid), plain(single, index, valid)
        for one, two in zip(ours, theirs, strict=True):
            assert one.dtype == torch.float32
            torch.testing.assert_close(one, two)
        (ours[0].sum() + ours[1].square().sum()).backward()
        (theirs[0].sum() + theirs[1].square().sum()).backward()
        assert half.grad is not None
        assert half.grad.dtype == dtype
        assert single.grad is not None
        torch.testing.assert_close(half.grad, single.grad.to(dtype))
