"""OKS loss against a loop over instances and points, and the numbers of COCO."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.errors import ConfigError, DltoolsError, ShapeError
from dltools.losses import CombineCfg, L1LossCfg, OKSLoss, OKSLossCfg
from dltools.meters import collect

SIGMAS = (0.05, 0.1, 0.2)


def points(seed: int) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Four instances of three points; the last has none that can be seen."""
    generator = torch.Generator().manual_seed(seed)
    target = 50 * torch.rand(4, 3, 2, generator=generator, dtype=torch.float64)
    pred = target + 3 * torch.randn(4, 3, 2, generator=generator, dtype=torch.float64)
    area = 100 + 900 * torch.rand(4, generator=generator, dtype=torch.float64)
    seen = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
    return pred, {"points": target, "area": area}, seen


def loop(pred: Tensor, target: dict[str, Tensor], weights: Tensor) -> list[float]:
    """One minus the OKS of each instance that has a point."""
    found = []
    for n in range(len(pred)):
        top = 0.0
        for k, sigma in enumerate(SIGMAS):
            squared = sum((float(pred[n, k, i]) - float(target["points"][n, k, i])) ** 2 for i in range(2))
            similarity = math.exp(-squared / (2 * float(target["area"][n]) * (2 * sigma) ** 2))
            top += float(weights[n, k]) * similarity
        if weights[n].any():
            found.append(1 - top / float(weights[n].sum()))
    return found


def test_the_loss_is_its_loop() -> None:
    pred, target, seen = points(0)
    expected = loop(pred, target, seen)
    for mask in (seen, seen.unsqueeze(-1), seen.bool()):
        assert OKSLoss(sigmas=SIGMAS)(pred, target, mask=mask).item() == pytest.approx(sum(expected) / 3, rel=1e-13)
    total = OKSLoss(sigmas=SIGMAS, reduction="sum")(pred, target, mask=seen)
    assert total.item() == pytest.approx(sum(expected), rel=1e-13)
    each = OKSLoss(sigmas=SIGMAS, reduction="none")(pred, target, mask=seen)
    assert each.tolist() == pytest.approx([*expected, 0], rel=1e-13)
    weights = torch.rand(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = loop(pred, target, weights)
    found = OKSLoss(sigmas=SIGMAS)(pred, target, weight_map=weights)
    assert found.item() == pytest.approx(sum(expected) / 4, rel=1e-13)


def test_numbers_of_coco() -> None:
    target = {"points": torch.zeros(1, 17, 2), "area": torch.tensor([1000.0])}
    assert OKSLoss()(torch.zeros(1, 17, 2), target).item() == 0
    away = torch.tensor(OKSLossCfg().sigmas) * 2 * 1000**0.5  # one tolerance: d² = area (2 sigma)²
    pred = torch.stack([away, torch.zeros(17)], -1).unsqueeze(0)
    assert OKSLoss()(pred, target).item() == pytest.approx(1 - 0.6065306597, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("area", [1e-30, 1e-6, 1.0, 6e4])
def test_what_is_far_or_small_has_finite_slopes(dtype: torch.dtype, area: float) -> None:
    pred = torch.tensor([[[1e4, -1e4], [0.0, 0.0], [1.0, 1.0]]], dtype=dtype, requires_grad=True)
    target = {"points": torch.zeros(1, 3, 2, dtype=dtype), "area": torch.tensor([area])}
    loss = OKSLoss(sigmas=SIGMAS)(pred, target)
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite())
    assert bool(torch.autograd.grad(loss, pred)[0].isfinite().all())


def test_instances_without_area_are_left_out_and_counted() -> None:
    pred, target, seen = points(2)
    for bad in (0.0, -1.0, math.nan):
        area = target["area"].clone()
        area[0] = bad
        leaf, loss = pred.clone().requires_grad_(), OKSLoss(sigmas=SIGMAS)
        value = loss(leaf, target | {"area": area}, mask=seen)
        assert value.item() == pytest.approx(sum(loop(pred, target, seen)[1:]) / 2, rel=1e-13)
        assert not torch.autograd.grad(value, leaf)[0][0].any()
        with pytest.warns(UserWarning, match="3 targets"):
            assert collect({"a": loss})["a/bad_targets"] == 3
    with pytest.raises(DltoolsError, match="3 targets are out of range"):
        OKSLoss(sigmas=SIGMAS, check=True)(pred, target | {"area": area}, mask=seen)


def test_nothing_seen_is_zero_with_zero_slope() -> None:
    pred, target, seen = points(3)
    pred[:] = torch.nan
    for rows, mask in ((slice(0, 4), torch.zeros_like(seen)), (slice(0, 0), seen[:0])):
        leaf = pred[rows].clone().requires_grad_()
        value = OKSLoss(sigmas=SIGMAS)(leaf, {name: x[rows] for name, x in target.items()}, mask=mask)
        assert value.item() == 0
        assert not torch.autograd.grad(value, leaf)[0].any()


def test_a_term_of_a_combination() -> None:
    pred, target, seen = points(4)
    terms: dict[str, Any] = {"oks": OKSLossCfg(sigmas=SIGMAS), "l1": L1LossCfg()}
    routes = {"oks": ("pose", "pose"), "l1": ("pose", "pose.points")}
    both = CombineCfg(terms=terms, routes=routes).build()
    mask = {"pose": seen, "pose.points": seen.unsqueeze(-1)}
    error = (pred - target["points"]).abs()[seen != 0].mean().item()
    expected = sum(loop(pred, target, seen)) / 3 + error
    assert both({"pose": pred}, {"pose": target}, mask=mask).item() == pytest.approx(expected, rel=1e-12)


def test_what_does_not_fit() -> None:
    pred, target, _ = points(5)
    loss = OKSLoss(sigmas=SIGMAS)
    with pytest.raises(ShapeError, match="target has no 'area'.*it has points"):
        loss(pred, {"points": target["points"]})
    with pytest.raises(ShapeError, match="target has no 'points'.*it is a Tensor"):
        loss(pred, target["points"])
    with pytest.raises(ShapeError, match=r"pred \(4, 3, 2\), area \(4, 1\). Expected pred \(N, 3, 2\), area \(N,\)"):
        loss(pred, target | {"area": target["area"].unsqueeze(1)})
    with pytest.raises(ShapeError, match=r"area is a list. .*"):
        loss(pred, target | {"area": [1.0] * 4})
    with pytest.raises(ShapeError, match=r"Expected pred \(N, 17, 2\), area \(N,\). Hint: sigmas"):
        OKSLoss()(pred, target)
    with pytest.raises(ShapeError, match=r"Expected mask \(4, 3, 1\) or \(4, 3\)"):
        loss(pred, target, mask=torch.ones(4, 2))
    for sigmas in ((), (0.0,)):
        with pytest.raises(ConfigError, match="sigmas"):
            OKSLossCfg(sigmas=sigmas)
