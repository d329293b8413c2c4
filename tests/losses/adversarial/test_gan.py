"""Adversarial losses and penalties against torch, single numbers and critics whose slopes are known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dltools.errors import ConfigError, DltoolsError, ShapeError
from dltools.losses import (
    HingeGANLoss,
    HingeGANLossCfg,
    LSGANLoss,
    NSGANLoss,
    WGANLoss,
    gradient_penalty,
    r1_penalty,
)
from dltools.meters import collect

SCORES = torch.tensor([-2.0, -0.5, 0.0, 0.5, 3.0], dtype=torch.float64)
REAL, FAKE = torch.ones(5, dtype=torch.int64), torch.zeros(5, dtype=torch.int64)
EACH: list[tuple[Any, list[float], list[float], list[float]]] = [
    (LSGANLoss, [9.0, 2.25, 1.0, 0.25, 4.0], [4.0, 0.25, 0.0, 0.25, 9.0], [9.0, 2.25, 1.0, 0.25, 4.0]),
    (HingeGANLoss, [3.0, 1.5, 1.0, 0.5, 0.0], [0.0, 0.5, 1.0, 1.5, 4.0], [2.0, 0.5, 0.0, -0.5, -3.0]),
    (WGANLoss, [2.0, 0.5, 0.0, -0.5, -3.0], [-2.0, -0.5, 0.0, 0.5, 3.0], [2.0, 0.5, 0.0, -0.5, -3.0]),
]


@pytest.mark.parametrize(("cls", "real", "fake", "fooled"), EACH)
def test_each_score_by_itself(cls: Any, real: list[float], fake: list[float], fooled: list[float]) -> None:
    loss = cls(reduction="none")
    assert loss(SCORES, REAL).tolist() == real
    assert loss(SCORES, FAKE).tolist() == fake
    generator = cls(side="generator", reduction="none")
    for target in (FAKE, REAL):  # what the generator pays does not depend on it
        assert generator(SCORES, target).tolist() == fooled


def test_the_non_saturating_loss_is_binary_cross_entropy() -> None:
    for target in (REAL, FAKE, torch.tensor([1, 0, 1, 0, 0]), torch.tensor([0.9, 0.1, 0.5, 1.0, 0.0])):
        found = NSGANLoss()(SCORES, target)
        expected = F.binary_cross_entropy_with_logits(SCORES, target.double())
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
    fooled = F.binary_cross_entropy_with_logits(SCORES, REAL.double())
    torch.testing.assert_close(NSGANLoss(side="generator")(SCORES, FAKE), fooled, rtol=1e-14, atol=0)


@pytest.mark.parametrize("cls", [NSGANLoss, LSGANLoss, HingeGANLoss, WGANLoss])
@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_a_target_has_any_dtype_and_one_number_for_a_sample(cls: Any, side: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 1, 4, 4, generator=generator, dtype=torch.float64)
    loss, whole = cls(side=side), torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(3, 1, 4, 4)
    expected = loss(scores, whole)
    for target in (torch.tensor([1, 0, 1]), torch.tensor([True, False, True]), torch.tensor([1.0, 0.0, 1.0]).half()):
        torch.testing.assert_close(loss(scores, target), expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(loss(scores, torch.tensor(1)), loss(scores, torch.ones(3)), rtol=1e-14, atol=0)
    some = loss(scores, whole, mask=torch.tensor([True, False, False]))
    torch.testing.assert_close(some, loss(scores[:1], whole[:1]), rtol=1e-14, atol=0)


def test_real_and_fake_in_one_batch_are_the_mean_of_both() -> None:
    for loss in (NSGANLoss(), LSGANLoss(), HingeGANLoss(), WGANLoss()):
        together = loss(torch.cat([SCORES, SCORES + 1]), torch.cat([REAL, FAKE]))
        apart = (loss(SCORES, REAL) + loss(SCORES + 1, FAKE)) / 2
        torch.testing.assert_close(together, apart, rtol=1e-14, atol=0)


def test_targets_out_of_range_are_left_out_and_counted() -> None:
    loss = HingeGANLoss()
    assert loss(SCORES, torch.tensor([1, -1, 2, 0, 7])).item() == pytest.approx((3 + 1.5) / 2)
    with pytest.warns(UserWarning, match="3 targets"):
        collect({"a": loss})
    with pytest.raises(DltoolsError, match="3 targets are out of range"):
        HingeGANLoss(check=True)(SCORES, torch.tensor([1, -1, 2, 0, 7]))


def test_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"target \(4,\). Expected target \(5, 2\) or \(5,\)"):
        NSGANLoss()(torch.zeros(5, 2), torch.zeros(4))
    with pytest.raises(ShapeError, match=r"pred.float\(\)"):
        NSGANLoss()(torch.zeros(5, dtype=torch.int64), torch.zeros(5))
    with pytest.raises(ConfigError, match="side"):
        HingeGANLossCfg(side="both")


def linear(weight: Tensor) -> nn.Linear:
    critic = nn.Linear(len(weight), 1, dtype=torch.float64)
    critic.weight = nn.Parameter(weight.clone().unsqueeze(0))
    return critic


def test_penalties_of_a_linear_critic() -> None:
    weight = torch.tensor([3.0, 4.0], dtype=torch.float64)  # of length 5
    critic, real = linear(weight), torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    penalty = r1_penalty(critic, real)
    assert penalty.item() == pytest.approx(25, rel=1e-14)
    (slope,) = torch.autograd.grad(penalty, [critic.weight])
    torch.testing.assert_close(slope[0], 2 * weight, rtol=1e-14, atol=0)
    penalty = gradient_penalty(critic, real, -real)
    assert penalty.item() == pytest.approx(16, rel=1e-14)
    (slope,) = torch.autograd.grad(penalty, [critic.weight])
    torch.testing.assert_close(slope[0], 2 * 4 * weight / 5, rtol=1e-14, atol=0)


def test_penalties_of_a_square() -> None:
    def critic(x: Tensor) -> Tensor:  # its slope is 2 x
        return x.square().flatten(1).sum(1)

    generator = torch.Generator().manual_seed(1)
    real, fake = (torch.randn(4, 3, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    share = torch.rand(4, generator=generator, dtype=torch.float64)
    expected = (2 * real).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(r1_penalty(critic, real).detach(), expected, rtol=1e-13, atol=0)
    between = share.view(4, 1, 1, 1) * real + (1 - share.view(4, 1, 1, 1)) * fake
    expected = ((2 * between).flatten(1).square().sum(1).sqrt() - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, real, fake, share=share).detach(), expected, rtol=1e-13, atol=0)


def test_drawn_points_lie_between_and_samples_keep_their_gradients() -> None:
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.square().sum(1)

    real, fake = torch.ones(200, 1, requires_grad=True), torch.zeros(200, 1, requires_grad=True)
    with torch.no_grad():
        gradient_penalty(critic, real, fake)
    (points,) = seen
    assert bool(((points >= 0) & (points <= 1)).all())
    assert len(points.unique()) > 150
    assert (real.grad, fake.grad) == (None, None)


def test_a_critic_that_is_flat_or_half_has_finite_penalties() -> None:
    flat = linear(torch.zeros(3, dtype=torch.float64))
    penalty = gradient_penalty(flat, torch.ones(2, 3).double(), torch.zeros(2, 3).double())
    assert penalty.item() == 1
    assert bool(torch.autograd.grad(penalty, [flat.weight])[0].isfinite().all())
    critic = linear(torch.tensor([3.0, 4.0], dtype=torch.float64)).to(torch.bfloat16)
    real = torch.ones(2, 2, dtype=torch.bfloat16)
    assert r1_penalty(critic, real).dtype == torch.float32
    assert r1_penalty(critic, real).item() == 25
    assert gradient_penalty(critic, real, 0 * real).item() == 16


def test_samples_that_do_not_fit() -> None:
    critic = linear(torch.ones(2, dtype=torch.float64))
    real = torch.ones(4, 2, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"real \(4, 2\), fake \(3, 2\)"):
        gradient_penalty(critic, real, real[:3])
    with pytest.raises(ShapeError, match=r"share \(3,\). Expected a number for each of 4 samples"):
        gradient_penalty(critic, real, real, share=torch.ones(3))


def test_penalties_of_no_sample_are_zero() -> None:
    none, weight = torch.zeros(0, 3), torch.ones(3, requires_grad=True)

    def critic(x: Tensor) -> Tensor:
        return (x * weight).square().sum(1)

    for penalty in (r1_penalty(critic, none), gradient_penalty(critic, none, none)):
        assert penalty.item() == 0
        assert not torch.autograd.grad(penalty, weight)[0].any()
