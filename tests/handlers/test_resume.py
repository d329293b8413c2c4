"""A state taken at any moment, an open window included, goes on to the same bits, through the checkpoints' codec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dltools.cfgutils import build
from dltools.checkpoints import StoreCfg
from dltools.errors import ConfigError
from dltools.handlers import (
    AccumulateCfg,
    AdaGCCfg,
    AGCCfg,
    AmpCfg,
    ClipNormCfg,
    EmaCfg,
    SkipNonFiniteCfg,
    SkipSpikeCfg,
    StepHandler,
    StepHandlerCfg,
    SwaCfg,
    ZClipCfg,
)
from dltools.meters import collect
from dltools.optim import CosineScheduleCfg, SchedulerCfg
from tests.handlers.models import OPTIMIZERS, batch, mlp, optimizer

Run = tuple[nn.Module, torch.optim.Optimizer, StepHandler]


NORM = ClipNormCfg(max_norm=0.5)
CLIPS = [NORM, ZClipCfg(warmup_steps=2, z=0.5), AdaGCCfg(warmup_steps=2), AGCCfg()]
EMA = EmaCfg(decay=0.8, warmup="ramp", every=2)
SPIKE = SkipSpikeCfg(window=3, min_history=2, sigma=0.1, max_in_row=1)


def config(
    amp: Any = "fp16", clip: Any = ClipNormCfg(max_norm=0.5), average: Any = EMA, **fields: Any
) -> StepHandlerCfg:
    return StepHandlerCfg(
        amp=amp and AmpCfg(dtype=amp, init_scale=64.0, growth_interval=2),
        accumulate=AccumulateCfg(window=3),
        clip=clip,
        average=average,
        schedule=SchedulerCfg(lr=CosineScheduleCfg(warmup_steps=2)),
        **fields,
    )


def begin(name: str, impl: str, cfg: StepHandlerCfg, seed: int = 0) -> Run:
    net = mlp(torch.float32, seed)
    opt = optimizer(name, net.parameters(), impl)
    return net, opt, cfg.build(net, opt, total_updates=8)


def train(run: Run, first: int, last: int, counts: str) -> None:
    net, _, step = run
    for k in range(first, last):
        x, y = batch(2 + k % 3, torch.float32, k)
        with step.forward():
            loss = (net(x) - y).square().mean() * (float("nan") if k in (4, 10) else 1.0)
        step(loss, {"none": None, "int": len(x), "tensor": torch.tensor(len(x))}[counts])


def result(run: Run) -> list[torch.Tensor]:
    net, opt, step = run
    assert step.average is not None
    assert step.scaler is not None or step.cfg.amp is None
    scale = [] if step.scaler is None else [step.scaler.scale, step.scaler.streak]
    rates = torch.tensor([group["lr"] for group in opt.param_groups], dtype=torch.float64)
    states = [x for state in opt.state.values() for x in state.values() if isinstance(x, torch.Tensor)]
    return [*net.parameters(), *step.average.module.parameters(), *scale, rates, *states]


@given(
    cut=st.integers(0, 16),
    name=st.sampled_from(list(OPTIMIZERS)),
    impl=st.sampled_from(["fused", "loop"]),
    counts=st.sampled_from(["none", "int", "tensor"]),
    amp=st.sampled_from([None, "fp16"]),
    clip=st.sampled_from(
        [ClipNormCfg(max_norm=0.5), ZClipCfg(warmup_steps=2, z=0.5), AdaGCCfg(warmup_steps=2), AGCCfg()]
    ),
    skip=st.sampled_from([(SkipNonFiniteCfg(),), (SPIKE, SPIKE.replace(of="loss"))]),
    average=st.sampled_from([EMA, SwaCfg(start_step=2, buffers="average")]),
    order=st.permutations([0, 1, 2]),
)
def test_every_cut_goes_on_to_the_same_bits(
    cut: int, name: str, impl: str, counts: str, amp: Any, clip: Any, skip: Any, average: Any, order: list[int]
) -> None:
    cfg = config(amp, clip, average, skip=skip)
    whole = begin(name, impl, cfg)
    train(whole, 0, cut, counts)
    saved = [part.state_dict() for part in whole]
    saved = torch_copy(saved)
    again = begin(name, impl, cfg, seed=3)
    train(again, 0, 4, counts)
    for i in order:
        again[i].load_state_dict(saved[i])
    for run in (whole, again):
        train(run, cut, 17, counts)
        run[2].flush()
    assert whole[2].num_updates == again[2].num_updates == 6
    assert all(torch.equal(a, b) for a, b in zip(result(whole), result(again), strict=True))
    ours, theirs = (collect({"step": run[2]}) for run in (whole, again))
    assert dict(ours) == pytest.approx(dict(theirs), rel=1e-12)
    assert ours.n == theirs.n


def torch_copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: torch_copy(x) for key, x in tree.items()}
    if isinstance(tree, list):
        return [torch_copy(x) for x in tree]
    return tree.clone() if isinstance(tree, torch.Tensor) else tree


@pytest.mark.parametrize("counts", ["none", "int", "tensor"])
@pytest.mark.parametrize("clip", [ZClipCfg(warmup_steps=1), AdaGCCfg(warmup_steps=1)], ids=lambda cfg: cfg.tag)
def test_a_checkpoint_in_an_open_window(tmp_path: Path, counts: str, clip: Any) -> None:
    cfg = config(clip=clip, average=SwaCfg(), skip=(SkipNonFiniteCfg(), SPIKE))
    whole = begin("AdamW", "fused", cfg)
    train(whole, 0, 8, counts)
    store = build(StoreCfg(root=tmp_path))
    store.save(dict(zip(("model", "optim", "step"), whole, strict=True)), step=8)
    again = begin("AdamW", "fused", cfg, seed=3)
    store.load("newest", into=dict(zip(("model", "optim", "step"), again, strict=True)))
    assert again[2].accumulate.size == 2
    for run in (whole, again):
        train(run, 8, 12, counts)
    assert all(torch.equal(a, b) for a, b in zip(result(whole), result(again), strict=True))


def test_the_state_names_what_it_holds_and_keeps_it() -> None:
    run = begin("AdamW", "loop", config())
    train(run, 0, 4, "int")
    state = run[2].state_dict()
    assert set(state) == {"num_updates", "average", "scaler", "schedule", "meters", "window"}
    assert set(state["window"]["gradients"]) == {name for name, _ in run[0].named_parameters()}
    assert (state["window"]["size"], state["window"]["total"]) == (1, 2)
    kept = {name: grad.clone() for name, grad in state["window"]["gradients"].items()}
    train(run, 4, 5, "int")
    assert all(torch.equal(grad, kept[name]) for name, grad in state["window"]["gradients"].items())


def test_states_of_another_config_are_refused() -> None:
    _, _, step = begin("AdamW", "loop", config())
    _, _, plain = begin("AdamW", "loop", StepHandlerCfg())
    with pytest.raises(ConfigError, match="the state has meters, num_updates, window"):
        step.load_state_dict(plain.state_dict())
    state = plain.state_dict()
    state["window"]["gradients"] = {"0.wight": torch.zeros(4, 3)}
    with pytest.raises(ConfigError, match="did you mean '0.weight'"):
        plain.load_state_dict(state)
    state["window"]["gradients"] = {"0.weight": torch.zeros(3, 4)}
    with pytest.raises(ConfigError, match=r"no parameter '0.weight' of shape \[3, 4\]"):
        plain.load_state_dict(state)
