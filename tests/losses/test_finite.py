"""Nothing finite gives anything else, in any precision, however little there is to see."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import assume, given
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
    LossCfg,
    TverskyLoss,
    TverskyLossCfg,
)
from tests.losses.dense import CHANNELS, EVERY, ONLY_LOGITS, changed, every, reads, takes_shares

DTYPES = [torch.float16, torch.bfloat16, torch.float32]
HEIGHTS = [0.0, 1e4, -1e4]
KINDS = ["full", "empty", "ignored", "masked", "one", "no batch", "no pixels"]
cases = st.tuples(
    st.sampled_from(list(EVERY.values())),
    st.sampled_from(DTYPES),
    st.sampled_from(HEIGHTS),
    st.sampled_from(KINDS),
    st.sampled_from(["mean", "sum", "none"]),
    st.booleans(),
    st.integers(0, 1000),
)


def scene(case: Any) -> tuple[Any, Tensor, Tensor, dict[str, Any], bool]:
    cfg, dtype, height, kind, reduction, soft, seed = case
    task, soft = reads(cfg).task, soft and takes_shares(cfg)
    pixels = {"one": (1, 1, 1), "no batch": (0, 2, 3), "no pixels": (2, 0, 3)}.get(kind, (2, 2, 3))
    size = (pixels[0], CHANNELS[task], *pixels[1:])
    signs = torch.randint(0, 2, size, generator=torch.Generator().manual_seed(seed))
    high = -abs(height) if reads(cfg).holds == "log_probs" else height
    pred = (signs * high).to(dtype).requires_grad_()
    shape = size if task != "multiclass" or soft else pixels
    target = torch.full(shape, {"full": 1, "ignored": 255}.get(kind, 0)).to(dtype if soft else torch.int64)
    extra = {"mask": torch.zeros(pixels, dtype=torch.bool)} if kind == "masked" else {}
    nothing = kind in ("ignored", "masked", "no batch", "no pixels")
    return changed(cfg, reduction=reduction, ignore_index=255).build(), pred, target, extra, nothing


def check(case: Any) -> None:
    loss, pred, target, extra, nothing = scene(case)
    value = loss(pred, target, **extra)
    (grad,) = torch.autograd.grad(value.sum(), pred)
    assert value.dtype == torch.float32
    assert bool(value.isfinite().all()), case
    assert bool(grad.isfinite().all()), case
    assert not (nothing and (value.detach().any() or grad.any())), case


@every
def test_loss_and_gradient_are_finite_and_nothing_is_nothing(cfg: LossCfg[Any]) -> None:
    for dtype, height, kind in itertools.product(DTYPES, HEIGHTS, KINDS[:2]):
        check((cfg, dtype, height, kind, "mean", False, 0))
    for turn, kind in enumerate(KINDS[2:]):
        check((cfg, DTYPES[turn % 3], HEIGHTS[turn % 2 + 1], kind, "mean", turn % 2 == 0, turn))


@given(cases)
def test_any_reduction_and_shares_too(case: Any) -> None:
    check(case)


@given(cases, st.sampled_from(["probs", "log_probs"]))
def test_probabilities_of_0_and_1_are_finite(case: Any, holds: str) -> None:
    loss, logits, target, extra, nothing = scene(case)
    assume(loss.cfg.tag not in ONLY_LOGITS and "temperature=" not in repr(loss.cfg))
    pred = logits.detach().sigmoid() if holds == "probs" else (logits.detach() / 1e4).clamp(max=0) * 1e4
    pred.requires_grad_()
    value = changed(loss.cfg, holds=holds).build()(pred, target, **extra)
    (grad,) = torch.autograd.grad(value.sum(), pred)
    assert bool(value.isfinite().all())
    assert bool(grad.isfinite().all())
    assert not (nothing and bool(grad.any()))


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
