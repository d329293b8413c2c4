"""Nothing finite gives anything else, in any precision, however little there is to see."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dltools.losses import (
    CELoss,
    CELossCfg,
    Combine,
    DiceLoss,
    DiceLossCfg,
    FocalLoss,
    FocalLossCfg,
    Loss,
    TverskyLoss,
    TverskyLossCfg,
)

LOSSES: list[tuple[Any, dict[str, Any]]] = [
    (CELoss, {}),
    (CELoss, {"label_smoothing": 0.1}),
    (FocalLoss, {}),
    (FocalLoss, {"gamma": 0.5}),
    (DiceLoss, {}),
    (DiceLoss, {"empty": "score"}),
    (DiceLoss, {"empty": "zero", "over": "sample"}),
    (TverskyLoss, {"alpha": 0.0, "beta": 1.0}),
    (TverskyLoss, {"alpha": 0.0, "beta": 0.0}),
]
CHANNELS = {"multiclass": 3, "multilabel": 3, "binary": 1}
cases = st.tuples(
    st.sampled_from(LOSSES),
    st.sampled_from(list(CHANNELS)),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32]),
    st.sampled_from([0.0, 1e4, -1e4]),
    st.sampled_from(["empty", "full", "ignored", "one", "masked", "no batch", "no pixels"]),
    st.sampled_from(["mean", "sum", "none"]),
    st.booleans(),
    st.randoms(use_true_random=False),
)


def scene(case: Any) -> tuple[Any, Tensor, Tensor, dict[str, Any], bool]:
    (cls, fields), task, dtype, height, kind, reduction, soft, random = case
    shape = {"one": (1, CHANNELS[task], 1, 1), "no batch": (0, CHANNELS[task], 2, 3), "no pixels": (2, 3, 0, 3)}
    size = shape.get(kind, (2, CHANNELS[task], 2, 3))
    size = (size[0], CHANNELS[task], *size[2:])
    signs = torch.tensor([random.choice([0.0, 1.0]) for _ in range(int(torch.Size(size).numel()))])
    pred = (signs * height).reshape(size).to(dtype).requires_grad_()
    pixels = size if task != "multiclass" or soft else (size[0], *size[2:])
    target = torch.full(pixels, {"full": 1, "ignored": 255}.get(kind, 0)).to(dtype if soft else torch.int64)
    extra = {"mask": torch.zeros(size[0], *size[2:], dtype=torch.bool)} if kind == "masked" else {}
    nothing = kind in ("ignored", "masked", "no batch", "no pixels")
    return cls(task=task, reduction=reduction, ignore_index=255, **fields), pred, target, extra, nothing


@given(cases)
def test_loss_and_gradient_are_finite_and_nothing_is_nothing(case: Any) -> None:
    loss, pred, target, extra, nothing = scene(case)
    value = loss(pred, target, **extra)
    value.sum().backward()
    assert value.dtype == torch.float32
    assert pred.grad is not None
    assert bool(value.isfinite().all())
    assert bool(pred.grad.isfinite().all())
    if nothing:
        assert not value.detach().any()
        assert not pred.grad.any()


@given(cases, st.sampled_from(["probs", "log_probs"]))
def test_probabilities_of_0_and_1_are_finite(case: Any, holds: str) -> None:
    loss, logits, target, extra, nothing = scene(case)
    pred = logits.detach().sigmoid() if holds == "probs" else (logits.detach() / 1e4).clamp(max=0) * 1e4
    pred.requires_grad_()
    loss = type(loss)(loss.cfg.replace(holds=holds))
    value = loss(pred, target, **extra)
    value.sum().backward()
    assert pred.grad is not None
    assert bool(value.isfinite().all())
    assert bool(pred.grad.isfinite().all())
    assert not (nothing and bool(pred.grad.any()))


def combined(**fields: Any) -> Loss[Any]:
    terms = {
        "ce": CELossCfg(**fields, label_smoothing=0.1),
        "dice": DiceLossCfg(**fields),
        "tversky": TverskyLossCfg(**fields, over="sample"),
        "focal": FocalLossCfg(**fields),
    }
    return Combine(terms=terms)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("height", [0.0, 1e4, -1e4])
def test_sum_of_losses_is_finite(dtype: torch.dtype, height: float) -> None:
    for num in (0, 1):
        pred = (torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 1.0]) * height).view(1, 3, 2).to(dtype)[:num].requires_grad_()
        for label in (0, 2, 255):
            loss = combined(ignore_index=255)(pred, torch.full((num, 2), label))
            (grad,) = torch.autograd.grad(loss, pred)
            assert loss.dtype == torch.promote_types(dtype, torch.float32)
            assert bool(loss.isfinite())
            assert bool(grad.isfinite().all())
            assert label != 255 or (loss.item() == 0 and not grad.any())


def test_what_is_not_finite_is_told() -> None:
    for bad in (torch.nan, torch.inf):
        pred = torch.zeros(1, 3, 4)
        pred[0, 1, 2] = bad
        for loss in (combined(), CELoss(), DiceLoss(), FocalLoss(), TverskyLoss(over="sample")):
            assert loss(pred, torch.zeros(1, 4, dtype=torch.int64)).isnan()
        for holds in ("probs", "log_probs"):
            assert not DiceLoss(holds=holds)(pred, torch.ones(1, 4, dtype=torch.int64)).isfinite()
    weight_map = torch.tensor([[1.0, torch.nan, 1.0, 1.0]])
    for loss in (combined(), CELoss(), DiceLoss()):
        assert loss(torch.zeros(1, 3, 4), torch.zeros(1, 4, dtype=torch.int64), weight_map=weight_map).isnan()
