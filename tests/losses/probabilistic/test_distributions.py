"""Losses of probabilities against torch, scipy and loops written out, in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import jensenshannon
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ConfigError, ShapeError
from dltools.losses import BCE, KL, NLL, BCELoss, BCELossCfg, JSLoss, KLLoss, KLLossCfg, Loss, NLLLoss, PolyLoss
from tests.losses import reference as ref

CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-13}
CHANNELS = {"multiclass": 4, "multilabel": 3, "binary": 1}


def given(task: str, soft: bool, seed: int = 0) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """A batch with a mask and a weight map."""
    pred, target = ref.batch(seed, 3, CHANNELS[task], 2, 3, task=task, soft=soft)
    generator = torch.Generator().manual_seed(seed + 1)
    weight_map = torch.randint(0, 4, (3, 2, 3), generator=generator).double() / 2
    return pred, target, {"mask": torch.rand(3, 2, 3, generator=generator) > 0.2, "weight_map": weight_map}


def test_other_names_are_the_same_classes() -> None:
    assert (BCELoss, NLLLoss, KLLoss) == (BCE, NLL, KL)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weight", [1.0, 2.5, (0.5, 2.0, 3.0)])
def test_binary_cross_entropy_is_that_of_torch(reduction: Any, soft: bool, weight: Any) -> None:
    pred, target = ref.batch(1, 4, 3, 6, task="multilabel", soft=soft)
    one, two = pred.clone().requires_grad_(), pred.clone().requires_grad_()
    ours = BCELoss(task="multilabel", reduction=reduction, pos_weight=weight)(one, target)
    across = torch.tensor(weight, dtype=torch.float64).view(-1, 1)
    theirs = F.binary_cross_entropy_with_logits(two, target.double(), reduction=reduction, pos_weight=across)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    ours.sum().backward()
    theirs.sum().backward()
    torch.testing.assert_close(one.grad, two.grad, **CLOSE)


@pytest.mark.parametrize("task", ["multilabel", "binary"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("classes", [False, True])
def test_binary_cross_entropy_is_its_loop(task: str, soft: bool, smoothing: float, classes: bool) -> None:
    pred, target, extra = given(task, soft)
    weights = (0.5, 2.0, 0.0)[: CHANNELS[task]] if classes else None

    def shape(p: float, side: int) -> float:
        return (1.0, 2.5)[side] * -math.log(p)

    seen = ref.elements(pred, target, task=task, **extra)
    expected = ref.pixel_loss(seen, shape, class_weights=weights, smoothing=smoothing)
    loss = BCELoss(task=task, pos_weight=2.5, label_smoothing=smoothing, class_weights=weights)
    assert loss(pred, target, **extra).item() == pytest.approx(expected, rel=1e-12)


def test_smoothing_of_large_logits() -> None:
    pred = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    loss = BCELoss(pos_weight=3.0, label_smoothing=0.2, reduction="none")(pred, torch.tensor([1, 0, 0, 1]))
    assert loss.tolist() == pytest.approx([0.1 * 1e4, 3 * 0.1 * 1e4, 0.9 * 1e4, 3 * 0.9 * 1e4], rel=1e-6)
    (slope,) = torch.autograd.grad(loss.sum(), pred)
    assert slope.tolist() == pytest.approx([0.1, -0.3, 0.9, -2.7], rel=1e-6)


def test_what_binary_cross_entropy_refuses() -> None:
    with pytest.raises(ConfigError, match="'binary' or 'multilabel'.*CELoss"):
        BCELossCfg(task="multiclass")
    with pytest.raises(ShapeError, match="2 pos_weight for pred .*3 of them"):
        BCELoss(task="multilabel", pos_weight=(1.0, 2.0))(torch.zeros(1, 3), torch.zeros(1, 3))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_likelihood_of_log_probabilities_is_that_of_torch(reduction: str) -> None:
    pred, target = ref.batch(2, 5, 4, 3)
    target[0] = -100
    weight = torch.tensor([0.5, 2.0, 0.0, 1.0], dtype=torch.float64)
    log_p = pred.log_softmax(1)
    ours = NLLLoss(reduction=reduction, class_weights=tuple(weight.tolist()), ignore_index=-100)(log_p, target)
    torch.testing.assert_close(ours, F.nll_loss(log_p, target, weight, reduction=reduction), **CLOSE)


@pytest.mark.parametrize("task", CHANNELS)
@pytest.mark.parametrize("soft", [False, True])
def test_poly_loss_is_its_loop(task: str, soft: bool) -> None:
    pred, target, extra = given(task, soft)
    seen = ref.elements(pred, target, task=task, **extra)
    for epsilon in (-1.0, 0.0, 2.0):
        expected = ref.pixel_loss(seen, lambda p, _, e=epsilon: -math.log(p) + e * (1 - p))
        assert PolyLoss(task=task, epsilon=epsilon)(pred, target, **extra).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 0.5])
@pytest.mark.parametrize("target_holds", ["logits", "probs"])
def test_divergence_from_a_teacher_is_that_of_torch(temperature: float, target_holds: str) -> None:
    pred, teacher = ref.batch(3, 5, 4)[0], ref.batch(4, 5, 4)[0]
    y = (teacher / temperature).softmax(1)
    one, two = pred.clone().requires_grad_(), pred.clone().requires_grad_()
    loss = KLLoss(temperature=temperature, target_holds=target_holds)
    ours = loss(one, teacher if target_holds == "logits" else y)
    theirs = temperature**2 * F.kl_div((two / temperature).log_softmax(1), y, reduction="batchmean")
    torch.testing.assert_close(ours, theirs, **CLOSE)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(one.grad, two.grad, **CLOSE)


@pytest.mark.parametrize("task", CHANNELS)
@pytest.mark.parametrize("holds", ["logits", "probs", "log_probs"])
def test_divergences_are_their_loops(task: str, holds: str) -> None:
    for soft in (False, True):
        pred, target, extra = given(task, soft)
        log_p = pred.log_softmax(1) if task == "multiclass" else F.logsigmoid(pred)
        pred = {"logits": pred, "log_probs": log_p, "probs": log_p.exp()}[holds]
        weights = (0.5, 2.0, 3.0, 1.0)[: CHANNELS[task]]
        seen = ref.elements(pred, target, task=task, holds=holds, **extra)
        for loss, divergence in ((KLLoss, kl), (JSLoss, lambda p, y: float(jensenshannon(p, y)) ** 2)):
            top = bottom = 0.0
            for one in seen:
                mine = [weights[one.channel]] * 2 if one.channel is not None else weights
                weight = one.weight * sum(w * y for w, y in zip(mine, one.y, strict=True))
                top, bottom = top + weight * divergence(one.p, one.y), bottom + weight
            found = loss(task=task, holds=holds, class_weights=weights)(pred, target, **extra)
            assert found.item() == pytest.approx(top / bottom, rel=1e-9)


def kl(p: list[float], y: list[float]) -> float:
    return math.fsum(b * math.log(b / a) for a, b in zip(p, y, strict=True) if b)


def test_a_prediction_equal_to_its_target_diverges_by_nothing() -> None:
    pred = 3 * torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0))
    for task in ("multiclass", "multilabel"):
        for temperature in (1.0, 3.0):
            assert KLLoss(task=task, temperature=temperature, target_holds="logits")(pred, pred).item() == 0
        y = pred.softmax(1) if task == "multiclass" else pred.sigmoid()
        for loss in (KLLoss(task=task), JSLoss(task=task)):
            assert loss(pred, y).item() == pytest.approx(0, abs=1e-6)


def test_divergences_at_the_ends() -> None:
    certain = torch.tensor([[1e4, 0.0], [0.0, 1e4]])
    assert JSLoss()(certain, torch.tensor([1, 0])).item() == pytest.approx(math.log(2), rel=1e-6)
    assert JSLoss()(certain, torch.tensor([0, 1])).item() == 0
    assert KLLoss()(certain, torch.tensor([[0.0, 1.0], [0.5, 0.5]])).item() == pytest.approx(
        (1e4 + 0.5e4 - math.log(2)) / 2
    )


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
def test_ignored_logits_of_a_teacher_change_nothing(task: str) -> None:
    pred, target = ref.batch(5, 2, CHANNELS[task], 6, task=task)[0], ref.batch(6, 2, CHANNELS[task], 6, task=task)[0]
    out = torch.tensor([True, False, False, True, False, False]).expand(2, 1, 6)
    loss = KLLoss(task=task, target_holds="logits", ignore_index=9, temperature=2.0)
    expected = loss(pred[..., ~out[0, 0]], target[..., ~out[0, 0]])
    junk = pred.masked_fill(out, torch.nan).requires_grad_()
    found = loss(junk, target.masked_fill(out, 9.0))
    torch.testing.assert_close(found, expected, **CLOSE)
    (slope,) = torch.autograd.grad(found, junk)
    assert bool(slope.isfinite().all())
    assert not slope[out.expand_as(slope)].any()
    masked = loss(junk, target.masked_fill(out, torch.nan), mask=~out[:, 0])
    torch.testing.assert_close(masked, expected, **CLOSE)
    assert loss.meters["bad_targets"].value == 0


def test_a_temperature_needs_logits() -> None:
    with pytest.raises(ConfigError, match="temperature=2.0 with holds='probs'.*holds='logits'"):
        KLLossCfg(temperature=2.0, holds="probs")
    with pytest.raises(ShapeError, match=r"pred \(2, 3\) float32, target \(2,\) float32, task multiclass"):
        KLLoss(target_holds="logits")(torch.zeros(2, 3), torch.zeros(2))


EVERY: list[tuple[Loss[Any], bool]] = [
    (BCELoss(task="multilabel", pos_weight=(0.5, 2.0, 1.0), label_smoothing=0.1), False),
    (BCELoss(task="multilabel", pos_weight=2.0, label_smoothing=0.1), True),
    (PolyLoss(epsilon=-0.5), False),
    (KLLoss(temperature=3.0), True),
    (KLLoss(temperature=3.0), False),
    (KLLoss(task="multilabel", target_holds="logits"), True),
    (JSLoss(), False),
    (JSLoss(), True),
    (JSLoss(task="multilabel"), True),
]


@pytest.mark.parametrize(("loss", "soft"), EVERY)
def test_derivatives(loss: Any, soft: bool) -> None:
    pred, target = ref.batch(7, 2, 3, 3, task=loss.cfg.task, soft=soft)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    pred.requires_grad_()
    assert gradcheck(lambda x: loss(x, target, mask=mask), pred)
    assert gradgradcheck(lambda x: loss(x, target, mask=mask), pred)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("height", [0.0, 1e4, -1e4])
def test_values_and_slopes_are_finite(dtype: torch.dtype, height: float) -> None:
    for loss, soft in EVERY:
        pred = (torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 1.0]) * height).view(1, 3, 2).to(dtype).requires_grad_()
        for level in (0, 1):
            share = torch.zeros(1, 3, 2) if loss.cfg.task == "multilabel" else torch.tensor([[[1.0], [0.0], [0.0]]])
            hard = torch.full((1, 3, 2) if loss.cfg.task == "multilabel" else (1, 2), level)
            found = loss(pred, (share + level * (loss.cfg.task == "multilabel")).expand(1, 3, 2) if soft else hard)
            (slope,) = torch.autograd.grad(found, pred)
            assert found.dtype == torch.float32
            assert bool(found.isfinite())
            assert bool(slope.isfinite().all())
