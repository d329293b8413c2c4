"""Half precision: the loss scale of torch.amp.GradScaler, on the CPU too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dltools.errors import ConfigError
from dltools.handlers import AccumulateCfg, AmpCfg, LossScaler, StepHandler, StepHandlerCfg
from tests.handlers.models import IMPLS, batch, bits, mlp, optimizer, same

INF, NAN = float("inf"), float("nan")


def handler(net: nn.Module, opt: torch.optim.Optimizer, window: int = 4, **amp: Any) -> StepHandler:
    return StepHandlerCfg(amp=AmpCfg(dtype="fp16", **amp), accumulate=AccumulateCfg(window=window)).build(net, opt)


def scale_of(step: StepHandler) -> float:
    assert step.scaler is not None
    return step.scaler.scale.item()


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("poison", [INF, NAN])
def test_an_inf_in_one_micro_batch_halves_the_scale_once_and_updates_nothing(impl: str, poison: float) -> None:
    net = mlp(torch.float32)
    opt = optimizer("AdamW", net.parameters(), impl)
    step = handler(net, opt, init_scale=1024.0)
    x, y = batch(8, torch.float32)
    for factors in ([1.0] * 4, [1.0, poison, 1.0, 1.0]):
        before = bits(opt)
        for factor, inputs, targets in zip(factors, torch.split(x, 2), torch.split(y, 2), strict=True):
            with step.forward():
                loss = (net(inputs) - targets).square().mean() * factor
            info = step(loss)
    assert info.skipped is not None
    assert info.skipped.item() == 1.0
    assert same(before, bits(opt))
    assert scale_of(step) == 512.0


def test_an_overflow_of_half_precision_itself_is_found() -> None:
    """60000 fits in half precision, its gradient times the scale does not."""
    w = nn.Linear(1, 1, bias=False)
    step = handler(w, torch.optim.SGD(w.parameters(), lr=1.0), window=1)
    seen = []
    for _ in range(3):
        with step.forward():
            loss = (w(torch.full((1, 1), 8.0)).half() * 8.0).sum().float()
        info = step(loss)
        assert info.skipped is not None
        seen.append((info.skipped.item(), scale_of(step)))
    assert seen[0] == (1.0, 32768.0)  # 65536 * 8 = 524288 > 65504
    assert seen[2] == (1.0, 8192.0)


@pytest.mark.parametrize("interval", [1, 3])
def test_the_scale_is_that_of_torch(interval: int) -> None:
    found = [0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    ours = LossScaler(8.0, interval)
    theirs = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=interval)
    for flag in found:
        w = nn.Parameter(torch.ones(1))
        opt = torch.optim.SGD([w], lr=0.0)
        theirs.scale((w * (INF if flag else 1.0)).sum()).backward()
        theirs.step(opt)
        theirs.update()
        ours.update(torch.tensor(float(flag)))
        assert ours.scale.item() == theirs.get_scale()


def test_the_scale_stays_finite() -> None:
    scaler = LossScaler(2.0**127, 1)
    scaler.update(torch.tensor(0.0))
    assert scaler.scale.item() == 2.0**127


@pytest.mark.parametrize("count", [None, 1024, torch.tensor(1024)], ids=["none", "int", "tensor"])
@pytest.mark.parametrize("loss", ["mean", "sum"])
def test_a_count_does_not_overflow_what_would_fit_without_it(count: Any, loss: Any) -> None:
    """Gradient 1 times the scale 2^14 over a window of 2 fits in half precision; times a count of 1024 it would not."""
    w = nn.Linear(1, 1, bias=False)
    nn.init.constant_(w.weight, 0.0)
    cfg = StepHandlerCfg(amp=AmpCfg(dtype="fp16", init_scale=2.0**14), accumulate=AccumulateCfg(window=2, loss=loss))
    step = cfg.build(w, torch.optim.SGD(w.parameters(), lr=1.0))
    for _ in range(4):
        with step.forward():
            result = w(torch.ones(1, 1)).sum()
        info = step(result * (1024 if loss == "sum" and count is not None else 1), count)
    assert info.skipped is not None
    assert info.skipped.item() == 0.0
    assert w.weight.item() == -2.0
    assert scale_of(step) == 2.0**14


@pytest.mark.parametrize("impl", IMPLS)
def test_a_power_of_two_scale_changes_no_bit(impl: str) -> None:
    nets = []
    for amp in (None, AmpCfg(dtype="fp16")):
        net = mlp(torch.float32)
        cfg = StepHandlerCfg(amp=amp, accumulate=AccumulateCfg(window=3))
        step = cfg.build(net, optimizer("SGD", net.parameters(), impl))
        for seed in range(6):
            x, y = batch(4, torch.float32, seed)
            step((net(x) - y).square().mean(), count=4)  # without forward(): full precision, scaled all the same
        nets.append(list(net.parameters()))
    assert all(torch.allclose(a, b, rtol=3e-7, atol=0) for a, b in zip(*nets, strict=True))


def test_forward_is_autocast_for_the_parameters_device() -> None:
    net = mlp(torch.float32)
    for dtype, expected in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        step = StepHandlerCfg(amp=AmpCfg(dtype=dtype)).build(net, torch.optim.SGD(net.parameters()))
        with step.forward():
            assert net(batch(2, torch.float32)[0]).dtype == expected
        assert (step.scaler is None) == (dtype == "bf16")
    step = StepHandlerCfg().build(net, torch.optim.SGD(net.parameters()))
    with step.forward():
        assert net(batch(2, torch.float32)[0]).dtype == torch.float32


def test_two_optimizers_may_share_a_scale_and_an_open_window_keeps_its_own() -> None:
    first, second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(second.weight, 0.0)
    one = handler(first, torch.optim.SGD(first.parameters(), lr=1.0), window=1, init_scale=16.0)
    cfg = StepHandlerCfg(amp=AmpCfg(dtype="fp16"), accumulate=AccumulateCfg(window=2))
    two = cfg.build(second, torch.optim.SGD(second.parameters(), lr=1.0), scaler=one.scaler)
    two(second.weight.sum())
    one(first.weight.sum() * INF)
    two(second.weight.sum())
    assert scale_of(one) == scale_of(two) == 8.0
    assert second.weight.item() == -1.0


def test_a_scaler_without_fp16_is_an_error() -> None:
    net = mlp()
    with pytest.raises(ConfigError, match="a scaler without fp16"):
        StepHandlerCfg(amp=AmpCfg()).build(net, torch.optim.SGD(net.parameters()), scaler=LossScaler())


def test_caller_made_gradients_are_those_of_the_scaled_loss() -> None:
    w = nn.Linear(1, 1, bias=False)
    nn.init.constant_(w.weight, 0.0)
    step = handler(w, torch.optim.SGD(w.parameters(), lr=1.0))
    assert step.scaler is not None
    (step.scaler.scale * 3.0 * w.weight.sum()).backward()
    step.apply()
    assert w.weight.item() == -3.0
