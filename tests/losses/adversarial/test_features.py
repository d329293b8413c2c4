"""Losses of features against loops over layers in numpy, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dltools.errors import ConfigError, ShapeError
from dltools.losses import CombineCfg, FeatureMatchingLoss, PerceptualLoss, PerceptualLossCfg, StyleLoss

WEIGHTS = (1.0, 0.5, 2.0)


def layers(seed: int) -> dict[str, Tensor]:
    """Three layers of four samples."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"low": (4, 3, 8, 6), "mid": (4, 5, 4), "top": (4, 7)}
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def gram(x: Any) -> Any:
    flat = x.reshape(*x.shape[:2], -1)
    return np.einsum("ncs,nds->ncd", flat, flat) / (flat.shape[1] * flat.shape[2])


def of_samples(pred: dict[str, Tensor], target: dict[str, Tensor], power: int, look: Any, weights: Any) -> Any:
    """The loss of each sample."""
    total = np.zeros(4)
    for weight, name in zip(weights, pred, strict=True):
        apart = np.abs(look(pred[name].numpy()) - look(target[name].numpy())) ** power
        total += weight * apart.reshape(4, -1).mean(1)
    return total


CASES: list[tuple[Any, str, int, Any]] = [
    (PerceptualLoss, "mse", 2, lambda x: x),
    (PerceptualLoss, "l1", 1, lambda x: x),
    (FeatureMatchingLoss, "l1", 1, lambda x: x),
    (FeatureMatchingLoss, "mse", 2, lambda x: x),
    (StyleLoss, "mse", 2, gram),
    (StyleLoss, "l1", 1, gram),
]


@pytest.mark.parametrize(("cls", "distance", "power", "look"), CASES)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_loss_is_its_loop(cls: Any, distance: Any, power: int, look: Any, weights: Any) -> None:
    pred, target = layers(0), layers(1)
    expected = of_samples(pred, target, power, look, weights or (1, 1, 1))
    fields = {"distance": distance, "weights": weights}
    for one, other in ((pred, target), (list(pred.values()), tuple(target.values()))):
        np.testing.assert_allclose(cls(**fields, reduction="none")(one, other), expected, rtol=1e-12)
        assert cls(**fields)(one, other).item() == pytest.approx(expected.mean(), rel=1e-12)
        assert cls(**fields, reduction="sum")(one, other).item() == pytest.approx(expected.sum(), rel=1e-12)
    share = torch.tensor([0.0, 1.0, 2.5, 1.0])
    found = cls(**fields)(pred, target, weight_map=share, mask=torch.tensor([1, 1, 1, 0]))
    assert found.item() == pytest.approx((expected * [0, 1, 2.5, 0]).sum() / 3.5, rel=1e-12)


def test_defaults_are_those_of_the_papers() -> None:
    assert (PerceptualLoss().cfg.distance, StyleLoss().cfg.distance) == ("mse", "mse")
    assert FeatureMatchingLoss().cfg.distance == "l1"


def test_one_tensor_is_one_layer_and_the_order_of_a_mapping_does_not_matter() -> None:
    pred, target = layers(2), layers(3)
    alone = PerceptualLoss()(pred["top"], target["top"])
    torch.testing.assert_close(alone, (pred["top"] - target["top"]).square().mean(), rtol=1e-13, atol=0)
    turned = {name: target[name] for name in reversed(target)}
    loss = PerceptualLoss(weights=WEIGHTS)
    assert torch.equal(loss(pred, turned), loss(pred, target))


def test_both_sides_have_gradients_that_the_user_may_stop() -> None:
    pred, target = ([x.requires_grad_() for x in layers(seed).values()] for seed in (4, 5))
    slopes = torch.autograd.grad(PerceptualLoss()(pred, target), [*pred, *target])
    for ours, theirs in zip(slopes[:3], slopes[3:], strict=True):
        torch.testing.assert_close(ours, -theirs, rtol=1e-13, atol=0)
    loss = PerceptualLoss()(pred, [x.detach() for x in target])
    assert torch.autograd.grad(loss, target, allow_unused=True) == (None, None, None)


def test_layers_of_several_dtypes() -> None:
    pred = [torch.ones(2, 3, dtype=torch.float16), torch.ones(2, 3)]
    assert PerceptualLoss()(pred, [0 * x for x in pred]).dtype == torch.float32
    assert PerceptualLoss()([*pred, torch.ones(2, 3).double()], [torch.zeros(2, 3)] * 3).dtype == torch.float64
    big = torch.full((2, 3), 3e4, dtype=torch.float16)
    assert StyleLoss()([big], [big]).item() == 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = StyleLoss()(layers(6), layers(7))
    torch.testing.assert_close(found, StyleLoss()(layers(6), layers(7)), rtol=0, atol=0)


def test_terms_of_a_combination() -> None:
    pred, target = layers(8), layers(9)
    terms = {"perceptual": PerceptualLossCfg(), "low": PerceptualLossCfg(distance="l1")}
    routes = {"perceptual": ("features", "features"), "low": ("features.low", "features.low")}
    both = CombineCfg(terms=terms, routes=routes).build()
    expected = of_samples(pred, target, 2, lambda x: x, (1, 1, 1)).mean() + (pred["low"] - target["low"]).abs().mean()
    assert both({"features": pred}, {"features": target}).item() == pytest.approx(float(expected), rel=1e-12)


def test_what_does_not_fit() -> None:
    pred, target = layers(0), layers(1)
    loss = PerceptualLoss()
    with pytest.raises(ShapeError, match="pred has the layers .*'top'.*, target .*. Expected the same layers"):
        loss(pred, {"low": target["low"]})
    with pytest.raises(ShapeError, match=r"layer low: pred \(4, 3, 8, 6\) .*, target \(4, 3, 6, 8\)"):
        loss(pred, target | {"low": target["low"].mT})
    with pytest.raises(ShapeError, match=r"layer 0: pred .*int64"):
        loss([torch.zeros(2, 3, dtype=torch.int64)], [torch.zeros(2, 3)])
    with pytest.raises(ShapeError, match="layer 1 has 3 samples, the first 4"):
        loss([torch.zeros(4, 2), torch.zeros(3, 2)], [torch.zeros(4, 2), torch.zeros(3, 2)])
    for tree in ([], {}, None, "low", [pred]):
        with pytest.raises(ShapeError, match="Expected a sequence or mapping of tensors, at least one"):
            loss(tree, target)
    with pytest.raises(ShapeError, match="2 weights for 3 layers"):
        PerceptualLoss(weights=(1.0, 2.0))(pred, target)
    with pytest.raises(ShapeError, match=r"Expected mask \(4,\)"):
        loss(pred, target, mask=torch.ones(4, 3))
    with pytest.raises(ShapeError, match=r"features \(4,\)"):
        StyleLoss()([torch.ones(4)], [torch.ones(4)])
    for weights in ((), (-1.0,)):
        with pytest.raises(ConfigError, match="weights"):
            PerceptualLossCfg(weights=weights)
