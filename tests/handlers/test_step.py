"""The handler as a whole: phases, meters, schedule."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from dltools.cfgutils import build, dump, load
from dltools.errors import ConfigError
from dltools.handlers import AccumulateCfg, AmpCfg, ClipNormCfg, EmaCfg, Handler, StepHandler, StepHandlerCfg
from dltools.meters import collect
from dltools.optim import (
    CosineScheduleCfg,
    GroupRuleCfg,
    LinearScheduleCfg,
    ParamGroupsCfg,
    SchedulerCfg,
    SGDCfg,
)
from tests.handlers.models import batch, mlp
from tests.hostreads import count_host_reads


def number(grads: list[float], **fields: Any) -> tuple[StepHandler, list[Any]]:
    net = nn.Linear(1, 1, bias=False)
    step = StepHandlerCfg(**fields).build(net, torch.optim.SGD(net.parameters(), lr=0.1, fused=True))
    return step, [step(net.weight.sum() * grad) for grad in grads]


def test_meters_are_means_over_updates_read_at_once() -> None:
    grads = [3.0, 0.5, float("nan"), float("inf"), 1.0]
    with count_host_reads() as reads:
        step, infos = number(grads, clip=ClipNormCfg(max_norm=1.0))
    assert reads.count == 0
    report = collect({"step": step})
    assert set(report) == {"step/grad_norm", "step/skipped", "step/clipped"}
    assert report["step/grad_norm"] == pytest.approx(4.5 / 3)
    assert report["step/skipped"] == pytest.approx(2 / 5)
    assert report["step/clipped"] == pytest.approx(1 / 3)
    assert (report.n["step/grad_norm"], report.n["step/skipped"], report.n["step/clipped"]) == (3, 5, 3)
    assert report.invalid["step/grad_norm"] == 2
    assert [round(info.clip.item(), 6) for info in infos[:2]] == [0.333333, 1.0]
    collect({"step": step}, reset=True)
    assert math.isnan(collect({"step": step})["step/skipped"])


def test_meters_of_many_updates() -> None:
    step, _ = number([float(k) for k in range(200)])
    report = collect({"step": step})
    assert report["step/grad_norm"] == sum(range(200)) / 200
    assert report.n["step/skipped"] == 200
    assert math.isnan(report["step/clipped"])
    assert report.n["step/clipped"] == 0


def test_an_ungated_handler_counts_its_updates() -> None:
    step, _ = number([1.0, 2.0], skip=())
    report = collect({"step": step})
    assert report["step/skipped"] == 0.0
    assert report.n["step/skipped"] == 2
    assert math.isnan(report["step/grad_norm"])


def test_info_of_every_call() -> None:
    _, infos = number([2.0, 4.0], accumulate=AccumulateCfg(window=2), clip=ClipNormCfg(max_norm=1.0))
    first, second = infos
    assert (first.updated, first.grad_norm, first.clip, first.skipped) == (False, None, None, None)
    assert first.loss is not None
    assert not first.loss.requires_grad
    assert (second.updated, second.grad_norm.item(), second.skipped.item()) == (True, 3.0, 0.0)
    assert second.clip.item() == pytest.approx(1 / 3)
    assert second[:1] == (True,)


def test_repr_lists_the_phases_in_order() -> None:
    net = mlp(torch.float32)
    cfg = StepHandlerCfg(
        amp=AmpCfg(dtype="fp16"),
        accumulate=AccumulateCfg(window=4),
        clip=ClipNormCfg(max_norm=1.0),
        average=EmaCfg(),
        schedule=SchedulerCfg(lr=CosineScheduleCfg()),
    )
    lines = repr(build(cfg, net, torch.optim.AdamW(net.parameters(), fused=True), 10)).splitlines()
    names = [line.split(":")[0].strip() for line in lines[1:]]
    phases = "scale backward reduce norm gate multiply apply zero average schedule meters".split()
    assert names == phases
    assert "4 micro-batches" in lines[2]
    assert "ClipNormCfg(max_norm=1.0)" in lines[6]
    assert "found_inf on the device" in lines[7]
    plain = repr(StepHandlerCfg(skip=()).build(net, torch.optim.SGD(net.parameters())))
    assert [line.split(":")[0].strip() for line in plain.splitlines()[1:]] == phases
    assert "on the host" in plain


def test_the_schedule_takes_the_length_of_the_run() -> None:
    net = mlp()
    optimizer = SGDCfg(lr=1.0).build(net)
    cfg = StepHandlerCfg(schedule=SchedulerCfg(lr=LinearScheduleCfg()), accumulate=AccumulateCfg(window=2))
    step = cfg.build(net, optimizer, 4)
    x, y = batch(3)
    rates = []
    for _ in range(8):
        step((net(x) - y).square().mean())
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.0]
    with pytest.raises(ConfigError, match="total_steps"):
        cfg.build(net, optimizer)


def test_a_frozen_group_needs_a_scheduler() -> None:
    net = mlp()
    frozen = ParamGroupsCfg(rules=(GroupRuleCfg(name="first", match="^0", freeze_steps=2),))
    optimizer = SGDCfg(lr=0.5, groups=frozen).build(net)
    with pytest.raises(ConfigError, match=r"group 'first' has freeze_steps=2, and no schedule"):
        StepHandlerCfg().build(net, optimizer)
    step = StepHandlerCfg(schedule=SchedulerCfg()).build(net, optimizer)
    x, y = batch(3)
    moved = []
    for _ in range(3):
        before = net[0].weight.detach().clone()
        step((net(x) - y).square().mean())
        moved.append(not torch.equal(before, net[0].weight))
    assert moved == [False, False, True]
    own = SGDCfg(lr=0.5, groups=frozen).build(net)
    scheduler = SchedulerCfg().build(own)
    assert StepHandlerCfg().build(net, scheduler.optimizer).schedule is None


def test_parts_that_are_not_configured_are_none() -> None:
    net = mlp()
    step: Handler = StepHandlerCfg().build(net, torch.optim.SGD(net.parameters()))
    assert (step.average, step.schedule, step.scaler, step.num_updates) == (None, None, None, 0)


def test_a_config_of_all_slots_is_read_from_yaml() -> None:
    text = """
    amp: {dtype: fp16, init_scale: 1024.0}
    accumulate: {window: 4, loss: sum}
    clip: {type: ClipNorm, max_norm: 1.0, norm_type: .inf}
    skip: [{type: SkipNonFinite}]
    average: {type: Ema, decay: 0.99, warmup: ramp}
    schedule: {lr: {type: CosineSchedule, warmup_steps: 5}}
    schedule_on: applied
    """
    cfg = load(StepHandlerCfg, text)
    assert isinstance(cfg.average, EmaCfg)
    assert cfg.clip == ClipNormCfg(max_norm=1.0, norm_type=math.inf)
    assert load(StepHandlerCfg, dump(cfg)) == cfg


def test_parameters_added_later_and_replaced_gradients_are_seen() -> None:
    first, second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    net = nn.ModuleList([first, second])
    optimizer = torch.optim.SGD(first.parameters(), lr=1.0)
    step = StepHandlerCfg().build(net, optimizer)
    before = second.weight.item()
    step(first.weight.sum())
    optimizer.add_param_group({"params": list(second.parameters())})
    step(second.weight.sum())
    assert second.weight.item() == pytest.approx(before - 1.0)


def test_a_compiled_model_steps() -> None:
    net = mlp(torch.float32)
    model: Any = torch.compile(net, backend="eager")
    step = StepHandlerCfg(average=EmaCfg()).build(model, torch.optim.AdamW(net.parameters(), fused=True))
    x, y = batch(3, torch.float32)
    with step.forward():
        loss = (model(x) - y).square().mean()
    step(loss)
    state = step.state_dict()
    assert set(state["average"]["tensors"]) == {name for name, _ in net.named_parameters()}
