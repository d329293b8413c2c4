"""Skipped updates change no bit; nothing is read on the host where the optimizer is fused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dltools.errors import ConfigError
from dltools.handlers import (
    AccumulateCfg,
    AdaGCCfg,
    AGCCfg,
    AmpCfg,
    ClipNormCfg,
    ClipValueCfg,
    EmaCfg,
    SkipNonFinite,
    SkipNonFiniteCfg,
    SkipSpikeCfg,
    StepHandlerCfg,
    SwaCfg,
    ZClipCfg,
)
from dltools.handlers.update import takes_gate
from dltools.meters import Mean
from dltools.optim import (
    AdadeltaCfg,
    AdafactorCfg,
    AdamaxCfg,
    ASGDCfg,
    CosineScheduleCfg,
    ExternalOptimCfg,
    NAdamCfg,
    OptimCfg,
    RAdamCfg,
    RMSpropCfg,
    RpropCfg,
    SchedulerCfg,
)
from tests.handlers.models import IMPLS, OPTIMIZERS, batch, bits, mlp, optimizer, same
from tests.hostreads import count_host_reads

every = pytest.mark.parametrize("name", OPTIMIZERS)
impls = pytest.mark.parametrize("impl", IMPLS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])


def loss_of(net: nn.Module, seed: int, poison: float = 1.0) -> Tensor:
    dtype = next(net.parameters()).dtype
    x, y = batch(5, dtype, seed)
    result: Tensor = (net(x) - y).square().mean() * poison
    return result


@every
@impls
@dtypes
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_non_finite_gradient_changes_no_bit(name: str, impl: str, dtype: Any, poison: float) -> None:
    net = mlp(dtype)
    opt = optimizer(name, net.parameters(), impl)
    step = StepHandlerCfg(clip=ClipNormCfg(max_norm=1.0)).build(net, opt)
    step(loss_of(net, 1))
    before = bits(opt)
    info = step(loss_of(net, 2, poison))
    assert info.skipped is not None
    assert info.skipped.item() == 1.0
    assert same(before, bits(opt))
    step(loss_of(net, 3))
    assert not same(before, bits(opt))


@every
@impls
@dtypes
def test_a_first_update_that_is_skipped_leaves_the_run_that_would_have_been(name: str, impl: str, dtype: Any) -> None:
    runs = []
    for poisons in ([float("nan"), 1.0, 1.0, float("nan"), 1.0], [1.0, 1.0, 1.0]):
        net = mlp(dtype)
        opt = optimizer(name, net.parameters(), impl)
        step = StepHandlerCfg().build(net, opt)
        seed = 0
        for poison in poisons:
            seed += poison == 1.0
            before = [p.detach().clone() for p in net.parameters()]
            step(loss_of(net, seed, poison))
            if poison != 1.0:
                assert same(before, [p.detach() for p in net.parameters()])
                states = [v for s in opt.state.values() for k, v in s.items() if k != "step" and v is not None]
                assert seed or all(not state.any() for state in states)
        runs.append(bits(opt))
    assert same(*runs)


@every
@impls
def test_updates_are_those_of_torch(name: str, impl: str) -> None:
    """Of the same optimizer, unfused, by a loop written out."""
    net, plain = mlp(), mlp()
    step = StepHandlerCfg(clip=ClipNormCfg(max_norm=0.3)).build(net, optimizer(name, net.parameters(), impl))
    opt = optimizer(name, plain.parameters(), "loop")
    for seed in range(4):
        step(loss_of(net, seed))
        opt.zero_grad()
        loss_of(plain, seed).backward()
        norm = torch.cat([p.grad.reshape(-1) for p in plain.parameters() if p.grad is not None]).norm()
        for p in plain.parameters():
            if p.grad is not None:
                p.grad *= min(1.0, 0.3 / norm.item())
        opt.step()
    for a, b in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


def everything(**changes: Any) -> StepHandlerCfg:
    cfg = StepHandlerCfg(
        amp=AmpCfg(dtype="bf16"),
        accumulate=AccumulateCfg(window=2),
        clip=ClipNormCfg(max_norm=1.0),
        skip=(SkipNonFiniteCfg(), SkipSpikeCfg(), SkipSpikeCfg(of="loss")),
        average=EmaCfg(decay=0.9, warmup="ramp"),
        schedule=SchedulerCfg(lr=CosineScheduleCfg()),
    )
    return cfg.replace(**changes)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("count", [None, 5, torch.tensor(5)], ids=["no count", "int", "tensor"])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "SGD dampening"])
def test_no_host_read_with_all_slots_on_and_a_fused_optimizer(name: str, count: Any, dtype: Any) -> None:
    net, meter = mlp(torch.float32), Mean()
    cfg = everything(amp=AmpCfg(dtype=dtype, init_scale=8.0))
    step = cfg.build(net, optimizer(name, net.parameters(), "fused"), total_updates=10)
    with count_host_reads() as reads:
        for seed in range(6):
            with step.forward():
                loss = loss_of(net, seed)
            meter.update(loss)
            step(loss, count)
    assert step.num_updates == 3
    assert reads.count == 0


@pytest.mark.parametrize("name", ["AdamW", "SGD momentum"])
@pytest.mark.parametrize("impl", ["foreach", "loop"])
def test_one_host_read_of_ours_with_another_optimizer(name: str, impl: str) -> None:
    net, plain = mlp(torch.float32), mlp(torch.float32)
    own = optimizer(name, plain.parameters(), impl)
    loss_of(plain, 0).backward()
    with count_host_reads() as alone:
        own.step()
    cfg = everything(accumulate=AccumulateCfg(), schedule_on="applied")
    step = cfg.build(net, optimizer(name, net.parameters(), impl), total_updates=10)
    with count_host_reads() as reads:
        step(loss_of(net, 0))
    assert reads.count == alone.count + 1


@pytest.mark.parametrize(
    "clip", [ZClipCfg(warmup_steps=1), AdaGCCfg(warmup_steps=1), AGCCfg(), ClipValueCfg(max_value=0.1)], ids=str
)
def test_no_host_read_whatever_clips_and_averages(clip: Any) -> None:
    net = mlp(torch.float32)
    cfg = everything(clip=clip, average=SwaCfg(buffers="average"))
    step = cfg.build(net, optimizer("AdamW", net.parameters(), "fused"), total_updates=10)
    with count_host_reads() as reads:
        for seed in range(8):
            with step.forward():
                loss = loss_of(net, seed, float("nan") if seed == 5 else 1.0)
            step(loss, 5)
    assert (step.num_updates, reads.count) == (4, 0)


OTHERS: list[OptimCfg[Any]] = [
    RMSpropCfg(momentum=0.9, centered=True),
    AdamaxCfg(),
    NAdamCfg(),
    RAdamCfg(),
    AdadeltaCfg(),
    ASGDCfg(),
    RpropCfg(),
    AdafactorCfg(),
    ExternalOptimCfg(source="schedulefree", name="AdamWScheduleFree", options={"warmup_steps": 2}),
    ExternalOptimCfg(source="pytorch_optimizer", name="Lion"),
]


@pytest.mark.parametrize("cfg", OTHERS, ids=lambda cfg: getattr(cfg, "name", cfg.tag))
def test_other_optimizers_too_keep_their_bits_at_the_cost_of_one_read(cfg: Any) -> None:
    net, plain = mlp(torch.float32), mlp(torch.float32)
    own = cfg.build(list(plain.parameters()))
    getattr(own, "train", bool)()
    step = everything(accumulate=AccumulateCfg()).build(net, cfg.build(list(net.parameters())), total_updates=10)
    for seed in range(2):
        loss_of(plain, seed).backward()
        with count_host_reads() as alone:
            own.step()
        own.zero_grad()
        with count_host_reads() as reads:
            step(loss_of(net, seed))
    assert reads.count == alone.count + 1
    before = bits(step.optimizer)
    step(loss_of(net, 2, float("nan")))
    assert same(before, bits(step.optimizer))


def test_schedule_on_applied_updates_costs_one_read_and_stands_still_on_skips() -> None:
    for on, expected in (("attempted", [1, 2, 3]), ("applied", [1, 1, 2])):
        for impl in IMPLS:
            net = mlp(torch.float32)
            cfg = everything(accumulate=AccumulateCfg(), schedule_on=on)
            step = cfg.build(net, optimizer("AdamW", net.parameters(), impl), total_updates=10)
            assert step.schedule is not None
            seen = []
            with count_host_reads() as reads:
                for seed, poison in enumerate([1.0, float("nan"), 1.0]):
                    step(loss_of(net, seed, poison))
                    seen.append(step.schedule.last_epoch)
            assert seen == expected
            assert impl != "fused" or reads.count == (3 if on == "applied" else 0)


def test_without_gates_and_clip_nothing_is_skipped_or_measured() -> None:
    net = mlp()
    step = StepHandlerCfg(skip=()).build(net, optimizer("SGD", net.parameters()))
    info = step(loss_of(net, 0, float("nan")))
    assert info[2:] == (None, None, None)
    assert all(p.isnan().all() for p in net.parameters())


def test_the_private_hooks_are_those_of_torch_2_13() -> None:
    """``found_inf``, ``grad_scale`` and ``_step_supports_amp_scaling``, which torch.amp.GradScaler uses alike."""
    assert torch.__version__.startswith("2.13"), "look whether the hooks are still there, then raise this version"
    for name in OPTIMIZERS:
        for impl in IMPLS:
            w = nn.Parameter(torch.ones(2))
            opt: Any = optimizer(name, [w], impl)
            assert takes_gate(opt) == (impl == "fused") == getattr(opt, "_step_supports_amp_scaling", False)
            if impl == "fused":
                results = []
                for grad, scale in ((0.5, None), (4.0, 8.0)):
                    v = nn.Parameter(torch.ones(2))
                    v.grad = torch.full((2,), grad)
                    opt = optimizer(name, [v], impl)
                    if scale is not None:
                        opt.grad_scale, opt.found_inf = torch.tensor(scale), torch.tensor(0.0)
                    opt.step()
                    results.append(v.detach())
                assert torch.equal(*results)


def test_hooks_are_removed_even_if_the_optimizer_fails() -> None:
    net = mlp(torch.float32)
    opt = optimizer("AdamW", net.parameters(), "fused")
    step = StepHandlerCfg(clip=ClipNormCfg(max_norm=1.0)).build(net, opt)
    keys = set(vars(opt))
    step(loss_of(net, 0))
    assert set(vars(opt)) == keys
    loss = loss_of(net, 0)
    opt.register_step_pre_hook(lambda *_: 1 / 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ZeroDivisionError):
        step(loss)
    assert set(vars(opt)) == keys


def test_lbfgs_is_refused() -> None:
    net = mlp()
    with pytest.raises(ConfigError, match="LBFGS.step needs a closure"):
        StepHandlerCfg().build(net, torch.optim.LBFGS(net.parameters()))


def test_a_model_and_an_optimizer_are_needed() -> None:
    net = mlp()
    with pytest.raises(ConfigError, match="got a generator and a SGD"):
        StepHandlerCfg().build(net.parameters(), torch.optim.SGD(net.parameters()))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a Sequential and a list"):
        StepHandlerCfg().build(net, list(net.parameters()))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gate_tells_non_finite_norms(dtype: Any) -> None:
    values = torch.tensor([0.0, 1e-30, 3e38, float("inf"), float("-inf"), float("nan")], dtype=dtype)
    assert [SkipNonFinite()(x, None).item() for x in values] == [0, 0, 0, 1, 1, 1]
