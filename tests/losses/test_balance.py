"""Terms that balance themselves, and gradients that disagree."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dltools.errors import ConfigError
from dltools.losses import (
    CELossCfg,
    Combine,
    CombineCfg,
    DiceLossCfg,
    EmaNormCfg,
    FocalLossCfg,
    LinearWeightCfg,
    UncertaintyCfg,
    gradnorm,
    pcgrad,
)
from dltools.meters import collect
from tests.hostreads import count_host_reads
from tests.losses import reference as ref

TERMS = {"ce": CELossCfg(ignore_index=255), "dice": DiceLossCfg(ignore_index=255)}
WEIGHTS: dict[str, Any] = {"dice": 3.0, "ce": LinearWeightCfg(first=2.0, last=1.0, steps=4)}


def test_uncertainty_is_its_formula_and_learns() -> None:
    pred, target = ref.batch(0, 2, 3, 6)
    plain = CombineCfg(terms=TERMS, weights=WEIGHTS).build()
    loss = CombineCfg(terms=TERMS, weights=WEIGHTS, balance=UncertaintyCfg()).build()
    assert loss(pred, target).item() == pytest.approx(plain(pred, target).item(), rel=1e-14)
    s = loss.get_parameter("balance.log_var")
    torch.nn.init.constant_(s, 0.5)
    value = loss(pred.requires_grad_(), target)
    weighted = [2 * plain.parts()["ce"].item(), 3 * plain.parts()["dice"].item()]
    assert value.item() == pytest.approx(sum(math.exp(-0.5) * x + 0.5 for x in weighted), rel=1e-7)
    (slope,) = torch.autograd.grad(value, s)
    assert slope.tolist() == pytest.approx([1 - math.exp(-0.5) * x for x in weighted], rel=1e-6)
    parts = loss.parts()
    assert parts["ce"].item() == pytest.approx(weighted[0] / 2, rel=1e-12)
    assert parts["ce.weight"].item() == pytest.approx(2 * math.exp(-0.5), rel=1e-7)
    assert collect({"a": loss})["a/dice.weight"] == pytest.approx(3 * (1 + math.exp(-0.5)) / 2, rel=1e-7)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        loss(pred.detach(), target).backward()
        optimizer.step()
    assert s.tolist() == pytest.approx([math.log(x) for x in weighted], abs=1e-5)


def test_a_term_of_nothing_teaches_nothing() -> None:
    loss = Combine(terms=TERMS, balance=UncertaintyCfg())
    torch.nn.init.constant_(loss.get_parameter("balance.log_var"), 0.7)
    pred = torch.zeros(2, 3, 4, requires_grad=True)
    value = loss(pred, torch.full((2, 4), 255))
    value.backward()
    s = loss.get_parameter("balance.log_var")
    assert value.item() == 0
    assert pred.grad is not None
    assert s.grad is not None
    assert not pred.grad.any()
    assert not s.grad.any()


def test_losses_by_their_averages() -> None:
    loss = Combine(terms=TERMS, weights={"dice": 3.0}, balance=EmaNormCfg(decay=0.9))
    plain, seen = Combine(terms=TERMS), []
    for seed in range(6):
        pred, target = ref.batch(seed, 2, 3, 6)
        if seed == 3:
            target.fill_(255)
        pred.requires_grad_()
        value = loss(pred, target)
        parts = plain.losses(pred, target)
        if seed != 3:
            seen.append([x.item() for x in parts.values()])
        mass = 0.9 ** np.arange(len(seen))[::-1]
        usual = (mass @ np.array(seen)) / mass.sum()
        expected = parts["ce"] / usual[0] + 3 * parts["dice"] / usual[1]
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
        slopes = [torch.autograd.grad(x, pred, retain_graph=True)[0] for x in (value, expected)]
        torch.testing.assert_close(*slopes, rtol=1e-11, atol=1e-15)
    assert loss.parts()["dice.weight"].item() == pytest.approx(3 / usual[1])


def test_averages_rest_while_nothing_trains() -> None:
    pred, target = ref.batch(1, 2, 3, 6)
    loss = Combine(terms=TERMS, balance=EmaNormCfg())
    loss.eval()
    plain = Combine(terms=TERMS)(pred, target)
    assert loss(pred, target).item() == pytest.approx(plain.item())
    loss.train()
    loss(pred, target), loss.losses(pred, target)
    state = copy.deepcopy(loss.state_dict())
    assert set(state) == {"schedule_step", "balance.average", "balance.mass"}
    assert state["balance.mass"].tolist() == pytest.approx([0.01] * 2)
    loss.eval()
    loss(2 * pred, target)
    loss.train()
    assert loss(torch.full_like(pred, torch.nan), target).isnan()
    torch.testing.assert_close(loss.state_dict(), state, rtol=0, atol=0)
    again = Combine(terms=TERMS, balance=EmaNormCfg())
    with torch.inference_mode():
        again(pred, target)
    again.load_state_dict(state)
    assert again(2 * pred, target).item() == loss(2 * pred, target).item()


@pytest.mark.parametrize("balance", [UncertaintyCfg(), EmaNormCfg()])
def test_balances_compile_and_read_nothing(balance: Any) -> None:
    pred, target = ref.batch(2, 2, 3, 6)
    one, two = (CombineCfg(terms=TERMS, weights=WEIGHTS, balance=balance).build() for _ in range(2))
    torch.compiler.reset()
    compiled = torch.compile(two, fullgraph=True, backend="aot_eager")
    for seed in range(3):
        pred, target = ref.batch(seed, 2, 3, 6)
        with count_host_reads() as reads:
            value = one(pred, target)
        assert reads.count == 0
        torch.testing.assert_close(compiled(pred, target), value, rtol=1e-12, atol=0)
    torch.testing.assert_close(two.state_dict(), one.state_dict(), rtol=1e-12, atol=0)


def test_balances_nest_and_are_configured() -> None:
    inner = CombineCfg(terms=TERMS, balance=UncertaintyCfg())
    outer = Combine(terms={"in": inner, "focal": FocalLossCfg()}, balance={"type": "EmaNorm", "decay": 0.5})
    assert {name for name, _ in outer.named_parameters()} == {"terms.in.balance.log_var"}
    assert outer(*ref.batch(3, 2, 3, 6)).item() == pytest.approx(2)
    with pytest.raises(ConfigError, match="decay"):
        EmaNormCfg(decay=1.0)


def gradients(found: dict[str, Tensor], params: list[Tensor]) -> Any:
    grads = [torch.autograd.grad(x, params, retain_graph=True, allow_unused=True) for x in found.values()]
    rows = [[torch.zeros_like(p) if g is None else g for p, g in zip(params, row, strict=True)] for row in grads]
    return np.stack([torch.cat([g.flatten() for g in row]).numpy() for row in rows])


def scene() -> tuple[dict[str, Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(n, generator=generator, dtype=torch.float64).requires_grad_() for n in (3, 4)]
    a, b = params
    opposed = -(a.sum() + 0.1 * b[0])
    return {"x": (a * a).sum() + b.prod(), "y": opposed, "z": a[0] - b.sum(), "w": -b.square().sum()}, params


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_conflicts_are_projected_away(seed: int | None) -> None:
    found, params = scene()
    grads = gradients(found, params)
    draw = None if seed is None else torch.Generator().manual_seed(seed)
    expected = np.zeros_like(grads[0])
    for i, own in enumerate(grads):
        g = own.copy()
        for j in range(4) if draw is None else torch.randperm(4, generator=draw).tolist():
            if j != i and g @ grads[j] < 0:
                g = g - g @ grads[j] / (grads[j] @ grads[j]) * grads[j]
        expected += g
    frozen = torch.zeros(2)
    with count_host_reads() as reads:
        pcgrad(found, [*params, frozen], generator=None if seed is None else torch.Generator().manual_seed(seed))
    assert reads.count == 0
    assert torch.cat([p.grad.flatten() for p in params if p.grad is not None]).numpy() == pytest.approx(expected)
    pcgrad(found, params, generator=None if seed is None else torch.Generator().manual_seed(seed))
    assert torch.cat([p.grad.flatten() for p in params if p.grad is not None]).numpy() == pytest.approx(2 * expected)
    assert frozen.grad is None


def test_gradients_that_agree_are_added_up() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    pcgrad({"a": x.square().sum(), "b": x.sum(), "c": 0 * x.sum()}, [x])
    assert x.grad is not None
    assert x.grad.tolist() == [3, 5]
    with pytest.raises(ConfigError, match="1 losses, 0 parameters"):
        pcgrad({"a": x.sum()}, [])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.5])
def test_norms_of_gradients_are_drawn_together(alpha: float) -> None:
    found, params = scene()
    found["y"] = found["y"].abs()
    found["z"], found["w"] = found["z"].abs(), found["w"].abs()
    weights = torch.tensor([1.0, 0.5, 2.0, 0.5], dtype=torch.float64, requires_grad=True)
    first = torch.tensor([2.0, 1.0, 3.0, 4.0], dtype=torch.float64)
    norms = np.linalg.norm(gradients(found, params), axis=1)
    rates = np.array([x.item() for x in found.values()]) / first.numpy()
    sizes = weights.detach().numpy() * norms
    goal = sizes.mean() * (rates / rates.mean()) ** alpha
    loss = gradnorm(found, weights, first, params, alpha=alpha)
    assert loss.item() == pytest.approx(float(np.abs(sizes - goal).sum()))
    (slope,) = torch.autograd.grad(loss, weights)
    assert slope.numpy() == pytest.approx(np.sign(sizes - goal) * norms)
    sum(found.values(), torch.zeros(())).backward()
    with pytest.raises(ConfigError, match=r"weights \(2,\) and first \(4,\) for 4 losses"):
        gradnorm(found, weights[:2], first, params)
