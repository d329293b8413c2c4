"""The mean over the hardest pixels against a plain sort."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ConfigError
from dltools.losses import (
    OHEM,
    BCELossCfg,
    CELoss,
    CELossCfg,
    DenseLossCfg,
    DiceLossCfg,
    FocalLossCfg,
    HardestPixelsLoss,
    HardestPixelsLossCfg,
)
from dltools.losses.probabilistic.hardest_pixels import hardest
from tests.hostreads import count_host_reads
from tests.losses import reference as ref


def by_sort(loss: Tensor, weight: Tensor, share: float) -> tuple[float, float]:
    """Sum of losses and of weights of the hardest, the last one in part."""
    wanted = share * weight.sum().item()
    top = bottom = 0.0
    for at in loss.flatten().argsort(descending=True).tolist():
        part = max(0.0, min(weight.flatten()[at].item(), wanted - bottom))
        top, bottom = top + part * loss.flatten()[at].item(), bottom + part
    return top, bottom


def test_its_other_name() -> None:
    assert OHEM is HardestPixelsLoss


@pytest.mark.parametrize("share", [0.01, 0.25, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("inner", [CELossCfg(), CELossCfg(label_smoothing=0.1), FocalLossCfg(gamma=0.5)])
def test_the_hardest_share_of_pixels(share: float, inner: DenseLossCfg[Any]) -> None:
    pred, target = ref.batch(0, 3, 4, 5, 6)
    each = inner.replace(reduction="none").build()(pred, target)
    top, bottom = by_sort(each, torch.ones_like(each), share)
    assert bottom == pytest.approx(share * 90)
    assert HardestPixelsLoss(loss=inner, share=share)(pred, target).item() == pytest.approx(top / bottom, rel=1e-12)
    summed = HardestPixelsLoss(loss=inner, share=share, reduction="sum")(pred, target)
    assert summed.item() == pytest.approx(top, rel=1e-12)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
def test_only_what_counts_is_shared_out(task: str) -> None:
    pred, target = ref.batch(1, 2, 1 if task == "binary" else 3, 20, task=task)
    weight_map = torch.randint(0, 3, (2, 20), generator=torch.Generator().manual_seed(2)).double()
    mask = torch.arange(20) % 3 > 0
    classes = (1.0, 3.0, 0.5)[: pred.shape[1]]
    inner = CELossCfg(task=task, class_weights=classes)
    each = CELossCfg(task=task, reduction="none").build()(pred, target)
    weight = weight_map * mask
    if task == "multiclass":
        weight = weight * torch.tensor(classes, dtype=torch.float64)[target]
    else:
        weight = weight.unsqueeze(1) * torch.tensor(classes, dtype=torch.float64).view(1, -1, 1)
        weight = weight.squeeze(1)
    top, bottom = by_sort(each, weight, 0.3)
    loss = HardestPixelsLoss(loss=inner, share=0.3)
    junk = torch.where(mask, pred, torch.nan).requires_grad_()
    found = loss(junk, target, mask=mask.expand(2, 20), weight_map=weight_map)
    assert found.item() == pytest.approx(top / bottom, rel=1e-12)
    (slope,) = torch.autograd.grad(found, junk)
    assert bool(slope.isfinite().all())
    assert not slope[..., ~mask].any()


def test_each_pixel_by_itself_and_its_slope() -> None:
    pred, target = ref.batch(3, 2, 3, 10)
    pred.requires_grad_()
    each = CELoss(reduction="none")(pred, target)
    chosen = each >= each.flatten().sort(descending=True)[0][4]
    found = HardestPixelsLoss(reduction="none")(pred, target)
    torch.testing.assert_close(found, each * chosen, rtol=0, atol=0)
    (slope,) = torch.autograd.grad(HardestPixelsLoss()(pred, target), pred)
    torch.testing.assert_close(slope, torch.autograd.grad(each[chosen].mean(), pred)[0], rtol=1e-12, atol=1e-15)
    assert HardestPixelsLoss(loss=BCELossCfg(), reduction="none")(torch.zeros(2, 1, 4), torch.zeros(2, 4)).shape == (
        2,
        4,
    )


def test_numbers_of_any_sign_and_size_are_in_order() -> None:
    x = torch.tensor([0.0, -0.0, 1e-45, -1e-45, 1e-30, 1.0, 1 + 2**-23, -1.0, 3e38, -3e38, torch.inf, -torch.inf])
    for n in range(1, len(x) + 1):
        chosen = hardest(x, torch.ones(len(x)), n / len(x))
        order = x.double().sort(descending=True)[0]
        assert (chosen * x).nan_to_num(0, 0, 0).isfinite().all()
        assert bool((chosen[x > order[n - 1]] == 1).all())
        assert not chosen[x < order[n - 1]].any()
        assert chosen.sum().item() == pytest.approx(n, rel=1e-6)


def test_equal_losses_count_in_equal_parts() -> None:
    assert hardest(torch.ones(8), torch.ones(8), 0.25).tolist() == [0.25] * 8
    pred = torch.zeros(1, 2, 8, requires_grad=True)
    loss = HardestPixelsLoss()(pred, torch.zeros(1, 8, dtype=torch.int64))
    assert loss.item() == pytest.approx(0.6931472)
    (slope,) = torch.autograd.grad(loss, pred)
    assert slope[0, 0].tolist() == pytest.approx([-0.5 / 8] * 8)


def test_what_is_not_a_number_is_hardest() -> None:
    pred = torch.zeros(1, 2, 8)
    pred[0, 0, 5] = torch.nan
    target = torch.zeros(1, 8, dtype=torch.int64)
    assert HardestPixelsLoss(share=0.125)(pred, target).isnan()
    assert HardestPixelsLoss(share=0.125)(-pred, target).isnan()


def test_derivatives() -> None:
    pred, target = ref.batch(4, 2, 3, 6)
    loss = HardestPixelsLoss(share=0.4, loss=CELossCfg(class_weights=(1.0, 2.0, 3.0)))
    assert gradcheck(lambda x: loss(x, target), pred.requires_grad_())
    assert gradgradcheck(lambda x: loss(x, target), pred)


def test_nothing_is_read_and_little_is_made() -> None:
    pred, target = ref.batch(5, 2, 3, 6, dtype=torch.float16)
    loss = HardestPixelsLoss()
    with count_host_reads() as reads:
        found = loss(pred.requires_grad_(), target)
        found.backward()
    assert reads.count == 0
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (DiceLossCfg(), "loss is a DiceLoss.*a pixel loss"),
        (CELossCfg(reduction="sum"), "reduction='sum'.*those of the whole count"),
        (CELossCfg(sync="mean"), "sync='mean'"),
    ],
)
def test_what_it_does_not_wrap(inner: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        HardestPixelsLossCfg(loss=inner)
