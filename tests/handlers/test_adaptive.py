"""Clips that follow the gradients: the same numbers as loops written out in plain Python."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.handlers import AdaGC, AdaGCCfg, AGCCfg, ClipValueCfg, Gradients, StepHandlerCfg, ZClip, ZClipCfg
from tests.handlers.models import batch, bits, mlp, same
from tests.hostreads import count_host_reads

norms = st.lists(st.floats(0.01, 100), min_size=1, max_size=40)


def holding(*grads: list[float]) -> list[nn.Parameter]:
    params = [nn.Parameter(torch.ones(len(grad), dtype=torch.float64)) for grad in grads]
    for param, grad in zip(params, grads, strict=True):
        param.grad = torch.tensor(grad, dtype=torch.float64)
    return params


def zclip_by_hand(values: list[float], z: float, alpha: float, warmup: int, max_norm: float) -> list[float]:
    """What is left of each norm."""
    first, left, mean, var = list[float](), [], 0.0, 0.0
    for g in values:
        if len(first) < warmup:
            first.append(g)
            mean, var = statistics.fmean(first), statistics.pvariance(first)
            left.append(min(g, max_norm))
            continue
        std = max(math.sqrt(var), 1e-6 * mean)
        score = (g - mean) / std
        short = mean + z**2 * std / score if score > z else g
        mean = alpha * mean + (1 - alpha) * short
        var = alpha * var + (1 - alpha) * (short - mean) ** 2
        left.append(min(short, max_norm))
    return left


@given(norms, st.floats(0.5, 4), st.floats(0, 0.99), st.integers(1, 10), st.just(math.inf) | st.floats(0.1, 50))
def test_zclip(values: list[float], z: float, alpha: float, warmup: int, max_norm: float) -> None:
    cap = None if math.isinf(max_norm) else max_norm
    clip = build(ZClipCfg(z=z, alpha=alpha, warmup_steps=warmup, max_norm=cap))
    for g, expected in zip(values, zclip_by_hand(values, z, alpha, warmup, max_norm), strict=True):
        gradients = Gradients(holding([0.6 * 2 * g, 0.8 * 2 * g]), divisor=2.0)
        share = clip(gradients)
        assert share.item() * g == pytest.approx(expected, rel=1e-6)
        gradients.settle()
        assert gradients.norm().item() == pytest.approx(expected, rel=1e-6)


def adagc_by_hand(steps: list[list[float]], rel: float, beta: float, bound: float, warmup: int) -> list[list[float]]:
    gamma: list[float | None] = [None] * len(steps[0])
    made = []
    for n, sizes in enumerate(steps):
        total = math.sqrt(sum(x * x for x in sizes))
        if n < warmup:
            left = [x * min(1, bound / total) for x in sizes]
            gamma = [x if old is None else min(old, x) for old, x in zip(gamma, left, strict=True)]
        else:
            left = [x if old is None else min(x, rel * old) for old, x in zip(gamma, sizes, strict=True)]
            gamma = [x if g is None else beta * g + (1 - beta) * x for g, x in zip(gamma, left, strict=True)]
        made.append(left)
    return made


@given(
    st.lists(st.tuples(st.floats(0.01, 9), st.floats(0.01, 9)), min_size=1, max_size=20),
    st.floats(0.5, 2),
    st.floats(0, 0.99),
    st.integers(0, 5),
)
def test_adagc(sizes: list[tuple[float, float]], rel: float, beta: float, warmup: int) -> None:
    clip = build(AdaGCCfg(rel=rel, beta=beta, abs=2.0, warmup_steps=warmup))
    for given_, expected in zip(sizes, adagc_by_hand([list(x) for x in sizes], rel, beta, 2.0, warmup), strict=True):
        params = holding([3.0 * given_[0]], [0.0, 3.0 * given_[1]])
        share = clip(Gradients(params, divisor=3.0))
        left = [float(p.grad.norm()) for p in params if p.grad is not None]
        assert left == pytest.approx(expected, rel=1e-9)
        assert share.item() == pytest.approx(math.hypot(*expected) / math.hypot(*given_), rel=1e-9)


def test_adagc_knows_its_tensors_whichever_have_a_gradient() -> None:
    clip = AdaGC(warmup_steps=0, rel=1.0, beta=0.5)
    first, second = holding([1.0], [8.0])
    first.grad = None
    clip(Gradients([first, second]))
    second.grad, first.grad = torch.tensor([16.0], dtype=torch.float64), torch.tensor([4.0], dtype=torch.float64)
    clip(Gradients([first, second]))
    assert (first.grad.item(), second.grad.item()) == (4.0, 8.0)


def test_adagc_begins_anew_for_tensors_that_are_added() -> None:
    clip = AdaGC(warmup_steps=0, rel=1.0, beta=0.5)
    first, second = holding([1.0], [8.0])
    clip(Gradients([first]))
    first.grad = torch.tensor([4.0], dtype=torch.float64)
    clip(Gradients([first, second]))
    assert (float(first.grad), float(second.grad or 0)) == (1.0, 8.0)


def test_the_memory_of_another_clip_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the state is that of ZClip.*one of AdaGC"):
        build(AdaGCCfg()).load_state_dict(build(ZClipCfg()).state_dict())


@pytest.mark.parametrize("cfg", [ZClipCfg(warmup_steps=1), AdaGCCfg(warmup_steps=1)], ids=lambda cfg: cfg.tag)
def test_a_skipped_update_is_not_remembered(cfg: Any) -> None:
    clip = build(cfg)
    for size, skipped in ((1.0, 0.0), (50.0, 1.0), (math.nan, 1.0), (math.inf, 0.0), (2.0, 0.0)):
        gradients = Gradients(holding([size]))
        gradients.skipped = torch.tensor(skipped)
        clip(gradients)
    other = build(cfg)
    for size in (1.0, 2.0):
        other(Gradients(holding([size])))
    assert torch.equal(clip.state_dict()[cfg.tag], other.state_dict()[cfg.tag])


@pytest.mark.parametrize("cfg", [ZClipCfg(warmup_steps=2), AdaGCCfg(warmup_steps=2)], ids=lambda cfg: cfg.tag)
@pytest.mark.parametrize("fused", [True, False])
def test_a_run_goes_on_from_its_state(cfg: Any, fused: bool) -> None:
    def run(steps: range, net: nn.Module, state: Any = None) -> tuple[Any, Any]:
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, fused=fused)
        step = build(StepHandlerCfg(clip=cfg), net, optimizer)
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
            step.load_state_dict(state["step"])
        for n in steps:
            x, y = batch(4, seed=n)
            step((net(x * (n + 1)) - y).square().mean())
        return optimizer, {"optimizer": optimizer.state_dict(), "step": step.state_dict()}

    whole, parts = mlp(), mlp()
    expected, _ = run(range(6), whole)
    _, state = run(range(3), parts)
    found, _ = run(range(3, 6), parts, state)
    assert same(bits(expected), bits(found))


@pytest.mark.parametrize(
    "cfg", [ZClipCfg(), AdaGCCfg(), AGCCfg(), ClipValueCfg(max_value=0.1)], ids=lambda cfg: cfg.tag
)
def test_nothing_is_read_on_the_host(cfg: Any) -> None:
    net = mlp(torch.float32)
    step = build(StepHandlerCfg(clip=cfg), net, torch.optim.AdamW(net.parameters(), fused=True))
    x, y = batch(4, torch.float32)
    step((net(x) - y).square().mean())
    loss = (net(x) - y).square().mean()
    with count_host_reads() as reads:
        step(loss)
    assert reads.count == 0


def test_zclip_of_zeros_clips_nothing_for_ever() -> None:
    clip = ZClip(warmup_steps=1)
    clip(Gradients(holding([0.0])))
    assert clip(Gradients(holding([3.0]))).item() == 1.0


@pytest.mark.parametrize("fields", [{"z": 0.0}, {"alpha": 1.0}, {"warmup_steps": 0}, {"max_norm": -1.0}])
def test_zclip_refuses(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        ZClipCfg(**fields)
