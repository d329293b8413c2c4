"""Lovász losses against their definition as a sum over sets of pixels, and bins against the exact order."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ConfigError
from dltools.losses import (
    LossCfg,
    LovaszHingeLoss,
    LovaszHingeLossCfg,
    LovaszSoftmax,
    LovaszSoftmaxLoss,
    LovaszSoftmaxLossCfg,
)
from tests.losses import reference as ref


def by_sets(errors: list[float], y: list[float], weights: list[float]) -> float:
    """Sum over pixels, the worst first, of the error times what the Jaccard loss grows by when it gets wrong too."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    value, before = 0.0, 0.0
    for k in range(1, len(order) + 1):
        wrong = order[:k]
        missed = math.fsum(weights[i] * y[i] for i in wrong)
        union = math.fsum(w * t for w, t in zip(weights, y, strict=True)) + math.fsum(
            weights[i] * (1 - y[i]) for i in wrong
        )
        after = (missed + union - math.fsum(w * t for w, t in zip(weights, y, strict=True))) / union
        value += errors[wrong[-1]] * (after - before)
        before = after
    return value


def expected(pred: Tensor, target: Tensor, task: str, hinge: bool, over: str, **extra: Any) -> list[float]:
    """The loss of each class that is there, sample after sample if they are apart."""
    seen = ref.elements(pred, target, task=task, **extra)
    logits = pred.numpy()
    found = []
    for samples in [range(len(pred))] if over == "batch" else [[n] for n in range(len(pred))]:
        for c in range(pred.shape[1]):
            mine = [one for one in seen if one.at[0] in samples and one.channel in (None, c)]
            side = 1 if task != "multiclass" else c
            y = [one.y[side] for one in mine]
            if hinge:
                errors = [max(0.0, 1 - float(logits[one.at]) * (2 * t - 1)) for one, t in zip(mine, y, strict=True)]
            else:
                errors = [abs(t - one.p[side]) for one, t in zip(mine, y, strict=True)]
            if any(y):
                found.append(by_sets(errors, y, [one.weight for one in mine]))
    return found


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("hinge", [False, True])
@pytest.mark.parametrize("over", ["batch", "sample"])
def test_it_is_the_sum_over_sets(task: Any, soft: bool, hinge: bool, over: Any) -> None:
    if hinge and task == "multiclass":
        return
    num = {"multiclass": 3, "multilabel": 2, "binary": 1}[task]
    pred, target = ref.batch(1, 2, num, 3, 4, task=task, soft=soft)
    generator = torch.Generator().manual_seed(2)
    extra = {
        "mask": torch.rand(2, 3, 4, generator=generator) > 0.2,
        "weight_map": torch.randint(0, 4, (2, 3, 4), generator=generator).double() / 2,
    }
    pred[~extra["mask"].unsqueeze(1).expand_as(pred)] = 7
    value = float(np.mean(expected(pred, target, task, hinge, over, **extra)))
    pred[~extra["mask"].unsqueeze(1).expand_as(pred)] = torch.nan
    cls: Any = LovaszHingeLoss if hinge else LovaszSoftmaxLoss
    grads = []
    for method, fields, close in (("exact", {}, 1e-12), ("hist", {"bins": 1 << 16}, 2e-5), ("hist", {}, 3e-4)):
        x = pred.clone().requires_grad_()
        loss = cls(task=task, over=over, method=method, **fields)(x, target, **extra)
        assert loss.item() == pytest.approx(value, abs=close)
        grads.append(torch.autograd.grad(loss, x)[0])
        assert not grads[-1][~extra["mask"].unsqueeze(1).expand_as(pred)].any()
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-12)


def test_known_numbers() -> None:
    p, target = torch.tensor([[0.0, 1.0, 1.0, 1.0]]), torch.tensor([[0, 0, 1, 1]])
    for method in ("hist", "exact"):
        loss = LovaszSoftmaxLoss(holds="probs", method=method)
        assert loss(torch.stack([1 - p, p], 1), target).item() == pytest.approx(5 / 12, abs=1e-7)
        foreground = LovaszSoftmaxLoss(holds="probs", method=method, task="binary")
        assert foreground(p, target).item() == pytest.approx(1 / 3, abs=1e-7)
        logits = torch.tensor([[-2.0, 2.0, 0.5, 2.0]])  # errors 0, 3, .5, 0: a third, then another one
        assert LovaszHingeLoss(method=method)(logits, target).item() == pytest.approx(3 / 3 + 0.5 / 3, abs=1e-7)
        perfect = torch.where(target == 1, 80.0, -80.0)
        assert LovaszHingeLoss(method=method)(perfect, target).item() == 0
        assert LovaszSoftmaxLoss(method=method)(torch.stack([-perfect, perfect], 1), target).item() == 0


def scenes() -> list[tuple[str, Any, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 7, 96, 96, generator=generator)
    target = torch.randint(0, 7, (2, 96, 96), generator=generator)
    right = torch.nn.functional.one_hot(target, 7).movedim(-1, 1)
    return [
        ("random", LovaszSoftmaxLoss, 2 * logits, target),
        ("at the start", LovaszSoftmaxLoss, 0.01 * logits, target),
        ("good", LovaszSoftmaxLoss, 2 * logits + 5 * right, target),
        ("sure", LovaszSoftmaxLoss, 20 * logits, target),
        ("two", LovaszSoftmaxLoss, logits[:, :2], target % 2),
        ("hinge", LovaszHingeLoss, 2 * logits[:, :1], target % 2),
        ("wide hinge", LovaszHingeLoss, 50 * logits[:, :1], target % 2),
    ]


@pytest.mark.parametrize(("name", "cls", "logits", "target"), scenes(), ids=lambda x: x if isinstance(x, str) else "")
def test_bins_are_as_good_as_the_order(name: str, cls: Any, logits: Tensor, target: Tensor) -> None:
    found = []
    for loss, dtype in ((cls(), torch.float32), (cls(method="exact"), torch.float64)):
        x = logits.to(dtype).requires_grad_()
        value = loss(x, target)
        found.append((value.item(), torch.autograd.grad(value, x)[0].double().flatten()))
    (value, grad), (exact, slope) = found
    assert value == pytest.approx(exact, abs=1e-5, rel=1e-5)
    assert torch.cosine_similarity(grad, slope, 0).item() > 0.9999


@pytest.mark.parametrize(("cls", "task"), [(LovaszSoftmaxLoss, "multiclass"), (LovaszHingeLoss, "multilabel")])
def test_a_class_that_is_absent(cls: Any, task: str) -> None:
    pred, target = ref.batch(3, 2, 3, 9, task=task)
    if task == "multiclass":
        target[target == 1] = 0
        wrong = pred.softmax(1)[:, 1].mean()
    else:
        target[:, 1] = 0
        wrong = (1 + pred[:, 1]).relu().mean()
    for method in ("hist", "exact"):
        each = cls(task=task, method=method, reduction="none")(pred, target)
        assert each[1] == 0
        assert cls(task=task, method=method)(pred, target) == pytest.approx(each.sum() / 2)
        assert cls(task=task, method=method, empty="zero")(pred, target) == pytest.approx(each.sum() / 3)
        scored = cls(task=task, method=method, empty="score")(pred, target)
        assert scored.item() == pytest.approx(((each.sum() + wrong) / 3).item(), rel=1e-12)
        only = cls(task=task, method=method, classes=(0,))(pred, target)
        assert only.item() == pytest.approx(each[0].item(), rel=1e-12)
        weighted = cls(task=task, method=method, class_weights=(1.0, 5.0, 3.0))(pred, target)
        assert weighted.item() == pytest.approx(((each[0] + 3 * each[2]) / 4).item(), rel=1e-12)


CASES: list[LossCfg[Any]] = [
    LovaszSoftmaxLossCfg(),
    LovaszSoftmaxLossCfg(over="sample", empty="score"),
    LovaszSoftmaxLossCfg(method="exact"),
    LovaszSoftmaxLossCfg(task="multilabel", bins=16),
    LovaszHingeLossCfg(),
]


@pytest.mark.parametrize("cfg", CASES)
@pytest.mark.parametrize("soft", [False, True])
def test_derivatives(cfg: Any, soft: bool) -> None:
    num = {"multiclass": 3, "multilabel": 2, "binary": 1}[cfg.task]
    pred, target = ref.batch(4, 2, num, 3, task=cfg.task, soft=soft)
    weight_map, loss = torch.tensor([[0.5, 1.0, 0.0], [2.0, 1.0, 1.0]]), cfg.build()
    assert gradcheck(lambda x: loss(x, target, weight_map=weight_map), pred.requires_grad_())
    assert gradgradcheck(lambda x: loss(x, target, weight_map=weight_map), pred)


def test_what_is_not_a_number_is_told_and_what_is_infinite_does_no_harm() -> None:
    target = torch.tensor([[0, 1, 0, 1]])
    for bad, method in itertools.product((torch.nan, torch.inf), ("hist", "exact")):
        pred = torch.zeros(1, 2, 4)
        pred[0, 1, 2] = bad
        assert LovaszSoftmaxLoss(method=method)(pred, target).isnan()
        assert not LovaszHingeLoss(method=method)(pred[:, 1], target).isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("method", ["hist", "exact"])
def test_extremes_are_finite(dtype: torch.dtype, method: Any) -> None:
    for high, label, num in itertools.product((0.0, 1e4, -1e4), (0, 1, 255), (0, 1, 5)):
        pred = torch.tensor([high, 0.0, -high]).to(dtype).repeat(2, num, 1).movedim(2, 1).clone().requires_grad_()
        target = torch.full((2, num), label)
        for loss, y in (
            (LovaszSoftmaxLoss(method=method, ignore_index=255), target),
            (LovaszHingeLoss(method=method, task="multilabel", ignore_index=255), target.unsqueeze(1).expand_as(pred)),
        ):
            value = loss(pred, y, weight_map=torch.full((2, num), 1e-30))
            (grad,) = torch.autograd.grad(value, pred)
            assert bool(value.isfinite())
            assert bool(grad.isfinite().all())
            assert label != 255 or (value.item() == 0 and not grad.any())


def test_what_cannot_be() -> None:
    assert LovaszSoftmax is LovaszSoftmaxLoss
    with pytest.raises(ConfigError, match="method='hist'"):
        LovaszSoftmaxLossCfg(method="exact", sync="mean")
    assert LovaszSoftmaxLossCfg(method="exact", sync="mean", over="sample").sync == "mean"
    for fields in ({"task": "multiclass"}, {"holds": "probs"}):
        with pytest.raises(ConfigError, match="LovaszSoftmaxLoss"):
            LovaszHingeLossCfg(**fields)
    with pytest.raises(ConfigError):
        LovaszSoftmaxLossCfg(bins=1)
