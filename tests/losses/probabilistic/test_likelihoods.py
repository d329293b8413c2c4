"""Likelihoods of regressions and of sequences against torch, in float64."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import DltoolsError, ShapeError
from dltools.functional.widen import widen
from dltools.losses import CTCLoss, GaussianNLLLoss, PoissonNLLLoss
from dltools.meters import collect
from tests.hostreads import count_host_reads

CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-13}
REDUCTIONS = ["mean", "sum", "none"]


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moments() -> tuple[dict[str, Tensor], Tensor]:
    mean, var = draw(0, 3, 2, 5), draw(1, 3, 2, 5).exp()
    var[0, 0, 0], var[1, 1, 2] = 0.0, 1e-9
    return {"mean": mean.requires_grad_(), "var": var.requires_grad_()}, draw(2, 3, 2, 5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("eps", [1e-6, 1e-2])
def test_gaussian_likelihood_is_that_of_torch(reduction: str, full: bool, eps: float) -> None:
    pred, target = moments()
    ours = GaussianNLLLoss(reduction=reduction, full=full, eps=eps)(pred, target)
    theirs = F.gaussian_nll_loss(pred["mean"], target, pred["var"], full=full, eps=eps, reduction=reduction)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    for one, two in zip(*(torch.autograd.grad(x.sum(), pred.values()) for x in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, two, **CLOSE)


def test_one_variance_for_many_and_what_is_left_out() -> None:
    pred, target = moments()
    var = torch.tensor([[[0.5]], [[1.0]], [[2.0]]], dtype=torch.float64)
    mask = torch.rand(3, 5, generator=torch.Generator().manual_seed(3)) > 0.4
    weights = torch.arange(1, 6, dtype=torch.float64).expand(3, 5)
    each = F.gaussian_nll_loss(pred["mean"], target, var.expand(3, 2, 5), reduction="none")
    total = (mask * weights).unsqueeze(1).expand(3, 2, 5)
    out = ~mask.unsqueeze(1).expand(3, 2, 5)
    junk = pred["mean"].detach().masked_fill(out, torch.nan).requires_grad_()
    found = GaussianNLLLoss()({"mean": junk, "var": var}, target, mask=mask, weight_map=weights)
    torch.testing.assert_close(found, (each * total).sum() / total.sum(), **CLOSE)
    (slope,) = torch.autograd.grad(found, junk)
    assert bool(slope.isfinite().all())
    assert not slope[out].any()
    wild = {"mean": junk, "var": torch.where(out, torch.nan, pred["var"].detach()).requires_grad_()}
    (slope,) = torch.autograd.grad(GaussianNLLLoss()(wild, target, mask=mask), wild["var"])
    assert not slope[out].any()


def test_slopes_of_half_precision_do_not_overflow() -> None:
    for dtype, height in itertools.product((torch.float16, torch.bfloat16, torch.float32), (0.0, 1e4, -1e4)):
        pred = {"mean": torch.full((3,), height, dtype=dtype), "var": torch.tensor([0.0, 1e4, -1e4], dtype=dtype)}
        for x in pred.values():
            x.requires_grad_()
        loss = GaussianNLLLoss()(pred, torch.zeros(3, dtype=dtype))
        slopes = torch.autograd.grad(loss, pred.values())
        assert loss.dtype == torch.float32
        assert bool(torch.stack([loss.detach(), *(x.float().abs().max() for x in slopes)]).isfinite().all())
    x = torch.tensor([2.0, torch.nan], dtype=torch.bfloat16, requires_grad=True)
    (1e39 * widen(x).double()).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [torch.finfo(torch.bfloat16).max] * 2
    assert widen(draw(0, 2)).dtype == torch.float64


def test_what_a_gaussian_refuses() -> None:
    mean = torch.zeros(2, 3)
    with pytest.raises(ShapeError, match="pred has no 'var'.*it has mean, vra.*did you mean 'vra'"):
        GaussianNLLLoss()({"mean": mean, "vra": mean}, mean)
    with pytest.raises(ShapeError, match=r"pred.var \(2,\), pred.mean \(2, 3\).*var \(2, 3\), or 1 for a size"):
        GaussianNLLLoss()({"mean": mean, "var": mean[:, 0]}, mean)
    with pytest.raises(DltoolsError, match="pred.var is negative.*softplus"):
        GaussianNLLLoss(check=True)({"mean": mean, "var": mean - 1}, mean)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("log_input", [False, True])
def test_poisson_likelihood_is_that_of_torch(reduction: str, full: bool, log_input: bool) -> None:
    pred = draw(4, 3, 4) if log_input else draw(4, 3, 4).exp()
    target = torch.arange(12.0, dtype=torch.float64).view(3, 4)
    pred.requires_grad_()
    ours = PoissonNLLLoss(log_input=log_input, full=full, reduction=reduction)(pred, target)
    theirs = F.poisson_nll_loss(pred, target, log_input, full, reduction=reduction)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    one, two = (torch.autograd.grad(x.sum(), pred)[0] for x in (ours, theirs))
    torch.testing.assert_close(one, two, **CLOSE)


def test_rates_below_zero_are_finite() -> None:
    pred = torch.tensor([-1e4, 0.0], requires_grad=True)
    loss = PoissonNLLLoss(log_input=False)(pred, torch.tensor([1.0, 2.0]))
    assert bool(torch.autograd.grad(loss, pred)[0].isfinite().all())


def test_derivatives() -> None:
    mean, var, target = draw(5, 2, 3), draw(6, 2, 3).exp(), draw(7, 2, 3).abs()
    for loss in (
        lambda a, b: GaussianNLLLoss()({"mean": a, "var": b}, target),
        lambda a, _: PoissonNLLLoss()(a, target),
    ):
        assert gradcheck(loss, (mean.requires_grad_(), var.requires_grad_()))
        assert gradgradcheck(loss, (mean, var))


TEXT = torch.tensor([[1, 2, 2, 0], [3, 0, 0, 0], [1, 1, 4, 2]])
LENGTHS = torch.tensor([3, 1, 4])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sequences_are_those_of_torch(reduction: str) -> None:
    pred = draw(8, 3, 5, 12).requires_grad_()
    frames = torch.tensor([12, 7, 9])
    mask = torch.arange(12) < frames.unsqueeze(1)
    log_p = pred.permute(2, 0, 1).log_softmax(-1)
    theirs = F.ctc_loss(log_p, TEXT, frames, LENGTHS, reduction=reduction)
    for given in (pred, pred.log_softmax(1)):
        ours = CTCLoss(reduction=reduction)(given, TEXT, mask=mask)
        torch.testing.assert_close(ours, theirs, **CLOSE)
        one, two = (torch.autograd.grad(x.sum(), pred, retain_graph=True)[0] for x in (ours, theirs))
        torch.testing.assert_close(one, two, **CLOSE)


def by_paths(probs: Tensor, text: list[int]) -> float:
    """Minus the logarithm of the probability of all paths that spell a text."""
    total = 0.0
    for path in itertools.product(range(probs.shape[0]), repeat=probs.shape[1]):
        spelt = [c for c, _ in itertools.groupby(path) if c]
        total += math.prod(probs[c, t].item() for t, c in enumerate(path)) if spelt == text else 0.0
    return -math.log(total)


def test_frames_and_labels_are_left_out_wherever_they_stand() -> None:
    pred, keep = draw(9, 2, 3, 6), torch.tensor([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0]]).bool()
    target = torch.tensor([[1, -100, 1, 0], [-100, 2, 0, 1]])
    probs = pred.softmax(1)
    each = [by_paths(probs[n][:, keep[n]], text) for n, text in enumerate(([1, 1], [2, 1]))]
    out = ~keep.unsqueeze(1).expand_as(pred)
    junk = pred.masked_fill(out, torch.nan).requires_grad_()
    weights = torch.tensor([1.0, 3.0])
    found = CTCLoss(ignore_index=-100)(junk, target, mask=keep, weight_map=weights)
    assert found.item() == pytest.approx((each[0] / 2 + 3 * each[1] / 2) / 4, rel=1e-12)
    (slope,) = torch.autograd.grad(found, junk)
    assert bool(slope.isfinite().all())
    assert not slope[out].any()
    assert gradcheck(lambda x: CTCLoss(ignore_index=-100)(x, target, mask=keep), pred.requires_grad_())


def test_samples_that_cannot_be_spelt_are_left_out_and_counted() -> None:
    pred = draw(10, 4, 3, 3)
    target = torch.tensor([[1, 2], [1, 9], [1, 1], [2, 2]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 0, 0]]).bool()
    loss = CTCLoss()
    found = loss(pred, target, mask=mask)
    assert found.item() == pytest.approx(by_paths(pred[0].softmax(0), [1, 2]) / 2, rel=1e-12)
    with pytest.warns(UserWarning, match="2 targets"):
        assert collect({"a": loss})["a/bad_targets"] == 2
    with pytest.raises(DltoolsError, match="2 targets have unknown labels or too many"):
        CTCLoss(check=True)(pred, target, mask=mask)


def test_what_a_sequence_loss_refuses() -> None:
    with pytest.raises(ShapeError, match=r"pred \(N, C, T\) of floats, C above blank, which is 7"):
        CTCLoss(blank=7)(draw(0, 2, 5, 4), TEXT[:2])
    for pred, target in ((draw(0, 2, 5), TEXT[:2]), (draw(0, 3, 5, 4), TEXT[:2]), (draw(0, 3, 5, 4), TEXT.float())):
        with pytest.raises(ShapeError, match=r"target \(N, S\) of integers"):
            CTCLoss()(pred, target)


def test_sequences_in_half_precision_compiled_and_without_reads() -> None:
    pred = 1e4 * draw(11, 3, 5, 12).sign()
    for dtype in (torch.float16, torch.bfloat16):
        x = pred.to(dtype).requires_grad_()
        with count_host_reads() as reads:
            found = CTCLoss()(x, TEXT)
            found.backward()
        assert reads.count == 0
        assert x.grad is not None
        assert bool(torch.cat([found.detach().view(1), x.grad.flatten()]).isfinite().all())
    x, y = (draw(12, 3, 5, 12).requires_grad_() for _ in range(2))
    mask = torch.arange(12) < torch.tensor([[12], [7], [9]])
    torch.compiler.reset()
    compiled = torch.compile(CTCLoss(), fullgraph=True, backend="aot_eager")(x, TEXT, mask=mask)
    plain = CTCLoss()(y, TEXT, mask=mask)
    torch.testing.assert_close(compiled, plain, **CLOSE)
    compiled.backward(), plain.backward()
    torch.testing.assert_close(x.grad, y.grad, **CLOSE)
