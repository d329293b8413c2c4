"""Combine: the sum of its terms, by one pass; routes, weights, schedules, nesting."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dltools.errors import ShapeError
from dltools.losses import (
    CELossCfg,
    Combine,
    CombineCfg,
    CosineWeight,
    CosineWeightCfg,
    DiceLossCfg,
    FocalLossCfg,
    LinearWeight,
    LinearWeightCfg,
    LossCfg,
    PiecewiseWeight,
    PiecewiseWeightCfg,
    TverskyLossCfg,
)
from tests.losses import reference as ref

TERMS: dict[str, LossCfg[Any]] = {
    "ce": CELossCfg(ignore_index=255),
    "smooth": CELossCfg(ignore_index=255, label_smoothing=0.1, class_weights=(1.0, 2.0, 3.0)),
    "dice": DiceLossCfg(ignore_index=255),
    "tversky": TverskyLossCfg(ignore_index=255, alpha=0.3, over="sample"),
    "focal": FocalLossCfg(ignore_index=255, reduction="sum"),
}
WEIGHTS = {"dice": 0.5, "focal": -0.25, "smooth": 2.0}


class Ops(TorchDispatchMode):
    """Count the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


def gradient(loss: Tensor, pred: Tensor) -> Tensor:
    return torch.autograd.grad(loss, pred, retain_graph=True)[0]


def test_weighted_sum_of_separate_losses() -> None:
    pred, target = ref.batch(0, 3, 3, 4, 5)
    target[0, 0] = 255
    pred.requires_grad_()
    weight_map = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    extra: dict[str, Any] = {"mask": weight_map > 0.2, "weight_map": weight_map}
    separate = {name: cfg.build()(pred, target, **extra) for name, cfg in TERMS.items()}
    expected = sum(WEIGHTS.get(name, 1.0) * x for name, x in separate.items())
    combined = Combine(terms=TERMS, weights=WEIGHTS)
    together = combined(pred, target, **extra)
    torch.testing.assert_close(together, expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(gradient(together, pred), gradient(expected, pred), rtol=1e-11, atol=1e-15)
    parts = combined.parts()
    assert set(parts) == {"loss", *TERMS, *(f"{name}.weight" for name in TERMS)}
    assert not any(x.requires_grad for x in parts.values())
    for name, x in separate.items():
        torch.testing.assert_close(parts[name], x.detach(), rtol=1e-13, atol=0)
        assert parts[f"{name}.weight"].item() == WEIGHTS.get(name, 1.0)


def test_one_softmax_serves_all_and_combining_costs_little_else() -> None:
    pred, target = ref.batch(0, 2, 3, 8, 8, dtype=torch.float32)
    pred.requires_grad_()
    inner = CombineCfg(terms=TERMS)
    for cfg in (inner, CombineCfg(terms={"in": inner, **TERMS}), CombineCfg(terms=TERMS, routes={"ce": ("", "")})):
        with Ops() as ops:
            cfg.build()(pred, target).backward()
        assert ops.seen["aten._log_softmax"] == (2 if cfg.routes else 1)
        assert ops.seen["aten.scatter_add_"] == ops.seen["aten._log_softmax"]
        assert ops.seen["aten._local_scalar_dense"] == 0
    with Ops() as ops:
        Combine(terms={"a": CELossCfg(), "b": DiceLossCfg(ignore_index=1)})(pred, target)
    assert ops.seen["aten._log_softmax"] == 2  # they read the target in different ways


def test_losses_are_attached_unweighted_and_not_logged() -> None:
    pred, target = ref.batch(2, 2, 3, 6)
    pred.requires_grad_()
    combined = Combine(terms=TERMS, weights=WEIGHTS)
    found = combined.losses(pred, target)
    assert combined.parts() == {}
    assert combined.states["rows"].abs().sum() == 0
    assert list(found) == list(TERMS)
    for name, cfg in TERMS.items():
        expected = cfg.build()(pred, target)
        torch.testing.assert_close(found[name], expected, rtol=1e-13, atol=0)
        torch.testing.assert_close(gradient(found[name], pred), gradient(expected, pred), rtol=1e-11, atol=1e-15)
    assert combined.losses(pred.float(), target)["ce"].dtype == torch.float32


def test_terms_nest() -> None:
    pred, target = ref.batch(3, 2, 3, 6)
    inner = CombineCfg(terms=TERMS, weights=WEIGHTS)
    outer = Combine(terms={"inner": inner, "ce": CELossCfg()}, weights={"inner": 3.0})
    expected = 3 * inner.build()(pred, target) + CELossCfg().build()(pred, target)
    torch.testing.assert_close(outer(pred, target), expected, rtol=1e-13, atol=0)
    assert outer.parts()["inner/dice.weight"].item() == 0.5
    torch.testing.assert_close(outer.parts()["inner/dice"], DiceLossCfg().build()(pred, target), rtol=1e-13, atol=0)


def routed() -> Combine:
    return Combine(
        terms={"main": CELossCfg(), "aux": CombineCfg(terms={"dice": DiceLossCfg()}), "edge": CELossCfg(task="binary")},
        routes={"main": ("seg.0", "mask"), "aux": ("seg.1", "mask"), "edge": ("edge", "edge")},
    )


def scene() -> tuple[dict[str, Any], dict[str, Any]]:
    first, target = ref.batch(4, 2, 3, 6)
    second, edge = ref.batch(5, 2, 3, 6)[0], ref.batch(6, 2, 1, 6, task="binary")
    return {"seg": [first, second], "edge": edge[0]}, {"mask": target, "edge": edge[1]}


def test_routes_lead_to_parts() -> None:
    pred, target = scene()
    keep = torch.arange(6) < 4
    mask = {"mask": keep.expand(2, 6)}
    expected = (
        CELossCfg().build()(pred["seg"][0][..., :4], target["mask"][:, :4])
        + DiceLossCfg().build()(pred["seg"][1][..., :4], target["mask"][:, :4])
        + CELossCfg(task="binary").build()(pred["edge"], target["edge"])
    )
    loss = routed()
    torch.testing.assert_close(loss(pred, target, mask=mask), expected, rtol=1e-13, atol=0)
    both = loss(pred, target, mask=keep.expand(2, 6))
    edge = CELossCfg(task="binary").build()
    torch.testing.assert_close(
        both - expected,
        edge(pred["edge"][..., :4], target["edge"][..., :4]) - edge(pred["edge"], target["edge"]),
        rtol=1e-10,
        atol=0,
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p, t: ({"sge": p["seg"], "edge": 0}, t), "pred has no 'seg'.*it has sge, edge.*did you mean 'sge'"),
        (lambda p, t: ({**p, "seg": [p["seg"][0]]}, t), r"pred has no '1' \(route 'seg.1'\).*it is a list"),
        (lambda p, t: (p, {"edge": t["edge"]}), "target has no 'mask'.*it has edge"),
        (lambda p, t: (p["edge"], t), "pred has no 'seg'.*it is a Tensor"),
    ],
)
def test_a_route_that_leads_nowhere(change: Any, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        routed()(*change(*scene()))


def test_masks_by_target_path_know_the_paths() -> None:
    with pytest.raises(ShapeError, match="mask has 'maks', which no route leads to.*did you mean 'mask'"):
        routed()(*scene(), mask={"maks": torch.ones(2, 6)})
    with pytest.raises(ShapeError, match="weight_map has 'x'"):
        routed().losses(*scene(), weight_map={"x": torch.ones(2, 6)})


@pytest.mark.parametrize("delay", [0, 3])
def test_schedules_are_their_formulas(delay: int) -> None:
    steps = torch.arange(20)
    done = [min(max((s - delay) / 8, 0.0), 1.0) for s in range(20)]
    linear = LinearWeight(first=2.0, last=-1.0, steps=8, delay=delay).at(steps)
    assert linear.tolist() == pytest.approx([2 - 3 * t for t in done], abs=1e-14)
    cosine = CosineWeight(first=2.0, last=-1.0, steps=8, delay=delay).at(steps)
    assert cosine.tolist() == pytest.approx([0.5 + 1.5 * math.cos(math.pi * t) for t in done], abs=1e-14)
    pieces = PiecewiseWeight(values=(1.0, 0.1, 4.0), boundaries=(delay + 2, 9)).at(steps)
    assert pieces.tolist() == [1.0 if s < delay + 2 else 0.1 if s < 9 else 4.0 for s in range(20)]


def test_schedules_follow_the_step_and_state() -> None:
    pred, target = ref.batch(7, 2, 3, 6)
    weights = {
        "ce": LinearWeightCfg(first=1.0, last=0.0, steps=4),
        "dice": CosineWeightCfg(first=0.0, last=2.0, steps=4, delay=1),
        "focal": PiecewiseWeightCfg(values=(0.0, 1.0), boundaries=(2,)),
    }
    terms = {"ce": CELossCfg(), "dice": DiceLossCfg(), "focal": FocalLossCfg()}
    loss = Combine(terms=terms, weights=weights)
    parts = loss.losses(pred, target)
    for step in range(6):
        by_hand = {name: cfg.build().at(torch.tensor([step])).item() for name, cfg in weights.items()}
        expected = sum(by_hand[name] * x for name, x in parts.items())
        torch.testing.assert_close(loss(pred, target), expected, rtol=1e-13, atol=1e-15)
        loss.step()
    loss.step(3)
    assert loss.parts()["ce.weight"].item() == 0
    again = Combine(terms=terms, weights=weights)
    assert set(loss.state_dict()) == {"schedule_step"}
    again.load_state_dict(loss.state_dict())
    loss(pred, target), again(pred, target)
    assert again.parts()["ce.weight"].item() == 0.25 == loss.parts()["ce.weight"].item()


def test_nested_schedules_go_along() -> None:
    inner = CombineCfg(terms={"ce": CELossCfg()}, weights={"ce": LinearWeightCfg(first=1.0, last=0.0, steps=4)})
    outer = Combine(terms={"inner": inner})
    outer.step()
    outer(torch.zeros(1, 2), torch.tensor([0]))
    assert outer.parts()["inner/ce.weight"].item() == 0.75
    assert set(outer.state_dict()) == {"schedule_step", "terms.inner.schedule_step"}
