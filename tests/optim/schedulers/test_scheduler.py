from __future__ import annotations

import copy
import gc
import itertools
import math
import pickle
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from dltools.cfgutils import build, dump, load
from dltools.errors import ConfigError
from dltools.optim import (
    AdamWCfg,
    ConstantScheduleCfg,
    CosineScheduleCfg,
    GroupRuleCfg,
    LinearScheduleCfg,
    ParamGroupsCfg,
    Schedule,
    ScheduleCfg,
    Scheduler,
    SchedulerCfg,
    SGDCfg,
)
from tests.hostreads import count_host_reads

COSINE = CosineScheduleCfg(total_steps=20, warmup_steps=5, warmup_from=0.1)


class BeatScheduleCfg(ScheduleCfg["BeatSchedule"]):
    """High and low by turns: a momentum."""

    high: float = 0.95
    low: float = 0.85


class BeatSchedule(Schedule[BeatScheduleCfg]):
    """``high`` at even steps."""

    def at(self, step: float) -> float:
        return self.cfg.low if step % 2 else self.cfg.high


BEAT = BeatScheduleCfg(total_steps=100)


def cosine(step: int) -> float:
    if step < 5:
        return 0.1 + 0.9 * step / 5
    return (1 + math.cos(math.pi * (min(step, 20) - 5) / 15)) / 2


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))


def adamw(model: nn.Module, lr: float = 0.5, *rules: GroupRuleCfg) -> torch.optim.AdamW:
    return build(AdamWCfg(lr=lr, weight_decay=0.25, groups=ParamGroupsCfg(rules=rules)), model)


def values(optimizer: torch.optim.Optimizer, name: str = "lr") -> list[float]:
    return [float(group[name]) for group in optimizer.param_groups]


def test_rates_are_the_base_times_the_schedule() -> None:
    optimizer = adamw(net(), 0.5, GroupRuleCfg(name="slow", types=("LayerNorm",), lr_mult=0.1))
    scheduler = build(SchedulerCfg(lr=COSINE), optimizer)
    assert scheduler.base_lrs == pytest.approx([0.5, 0.5, 0.05], rel=1e-15)
    for step in range(25):
        assert scheduler.last_epoch == step
        assert scheduler.get_last_lr() == values(optimizer)
        assert values(optimizer) == pytest.approx([b * cosine(step) for b in (0.5, 0.5, 0.05)], rel=1e-12, abs=1e-16)
        assert values(optimizer, "weight_decay") == [0.25, 0.0, 0.0]
        scheduler.step()
    scheduler.set(3)
    scheduler.step(9)
    assert values(optimizer)[0] == pytest.approx(0.5 * cosine(12), rel=1e-12)
    assert scheduler.state_dict() == {"step": 12}


def test_weight_decay_follows_its_own_schedule() -> None:
    optimizer = adamw(net())
    scheduler = build(SchedulerCfg(weight_decay=LinearScheduleCfg(), lr=None), optimizer, 10)
    scheduler.set(4)
    assert values(optimizer, "weight_decay") == pytest.approx([0.15, 0.0], rel=1e-12)
    assert values(optimizer) == [0.5, 0.5]


def test_momentum_is_the_value_itself() -> None:
    sgd = build(SGDCfg(momentum=0.3), net())
    adam = build(AdamWCfg(), net())
    for optimizer in (sgd, adam):
        scheduler = build(SchedulerCfg(momentum=BEAT), optimizer)
        for step in range(3):
            found = [g["momentum"] if optimizer is sgd else g["betas"][0] for g in optimizer.param_groups]
            assert found == [(0.95, 0.85)[step % 2]] * 2
            scheduler.step()
    assert {group["betas"][1] for group in adam.param_groups} == {0.999}


def test_a_momentum_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gives 1 for betas\[0\]"):
        build(SchedulerCfg(momentum=ConstantScheduleCfg()), adamw(net()))
    with pytest.raises(ConfigError, match="Adagrad has no momentum"):
        build(SchedulerCfg(momentum=ConstantScheduleCfg()), torch.optim.Adagrad(net().parameters()))


def test_a_group_has_its_own_schedule_by_name() -> None:
    rule = GroupRuleCfg(name="norms", types=("LayerNorm",))
    optimizer = adamw(net(), 0.5, rule)
    scheduler = build(SchedulerCfg(lr=COSINE, groups={"norms": LinearScheduleCfg()}), optimizer, 8)
    scheduler.set(6)
    assert values(optimizer) == pytest.approx([0.5 * cosine(6), 0.5 * cosine(6), 0.5 * 0.25], rel=1e-12)
    alone = build(SchedulerCfg(groups={"norms": LinearScheduleCfg(total_steps=4)}), adamw(net(), 0.5, rule))
    alone.set(1)
    assert alone.get_last_lr() == [0.5, 0.5, 0.375]
    with pytest.raises(ConfigError, match=r"no parameter group 'norm'.*did you mean 'norms'"):
        build(SchedulerCfg(groups={"norm": COSINE}), optimizer)


@pytest.mark.parametrize("lr", [None, ConstantScheduleCfg(), COSINE])
def test_a_frozen_group_rests_until_its_step(lr: Any) -> None:
    model = net()
    optimizer = adamw(model, 0.5, GroupRuleCfg(name="late", types=("LayerNorm",), freeze_steps=3))
    scheduler = build(SchedulerCfg(lr=lr), optimizer)
    for step in range(6):
        factor = cosine(step) if lr is COSINE else 1.0
        expected = [0.5 * factor, 0.5 * factor, 0.0 if step < 3 else 0.5 * factor]
        assert values(optimizer) == pytest.approx(expected, rel=1e-12)
        before = [p.detach().clone() for p in model[1].parameters()]
        model(torch.ones(1, 2)).square().sum().backward()
        optimizer.step()
        moved = [not torch.equal(p, b) for p, b in zip(model[1].parameters(), before, strict=True)]
        assert moved == [step >= 3] * 2
        scheduler.step()


@pytest.mark.parametrize("cut", range(22))
@pytest.mark.parametrize("order", list(itertools.permutations(["optimizer", "scheduler", "build"])))
def test_every_cut_and_every_load_order_go_on_alike(cut: int, order: tuple[str, ...]) -> None:
    """The new scheduler is built before, between or after the loads; its own load comes once it exists."""
    cfg = SchedulerCfg(lr=COSINE, weight_decay=LinearScheduleCfg(total_steps=20), momentum=BEAT)
    model = nn.Linear(1, 1)
    old = adamw(model)
    old_scheduler = build(cfg, old)
    old_scheduler.step(cut)
    saved = copy.deepcopy((old.state_dict(), old_scheduler.state_dict()))
    new = adamw(model)
    scheduler: Scheduler | None = None
    waiting = False
    for what in order:
        if what == "optimizer":
            new.load_state_dict(saved[0])
        scheduler = build(cfg, new) if what == "build" else scheduler
        waiting = waiting or what == "scheduler"
        if scheduler is not None and waiting:
            scheduler.load_state_dict(saved[1])
    assert scheduler is not None
    for step in range(cut, 25):
        assert values(new) == pytest.approx([0.5 * cosine(step)] * 2, rel=1e-12, abs=1e-16)
        for name in ("lr", "weight_decay", "betas"):
            assert [group[name] for group in new.param_groups] == [group[name] for group in old.param_groups]
        scheduler.step()
        old_scheduler.step()


@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("ours", [True, False])
def test_a_changed_rate_is_honoured_by_optimizers_built_here(optimizer_first: bool, ours: bool) -> None:
    model = nn.Linear(1, 1)

    def made(lr: float) -> tuple[torch.optim.Optimizer, Scheduler]:
        optimizer = adamw(model, lr) if ours else torch.optim.AdamW(model.parameters(), lr=lr)
        return optimizer, build(SchedulerCfg(lr=COSINE), optimizer)

    old, old_scheduler = made(0.5)
    old_scheduler.step(7)
    new, scheduler = made(0.25)
    pairs = [(new, old), (scheduler, old_scheduler)]
    for target, source in pairs if optimizer_first else reversed(pairs):
        target.load_state_dict(source.state_dict())
    base = 0.25 if ours else 0.5  # a plain optimizer has its base from the state
    assert scheduler.base_lrs == [base] * len(new.param_groups)
    for step in range(7, 21):
        assert values(new) == pytest.approx([base * cosine(step)] * len(new.param_groups), rel=1e-12, abs=1e-16)
        scheduler.step()


def test_a_base_value_in_the_group_counts() -> None:
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "initial_lr": 2, "lr": 0.1}])
    scheduler = build(SchedulerCfg(lr=LinearScheduleCfg(total_steps=4)), optimizer)
    scheduler.step()
    assert values(optimizer) == [1.5]


def test_a_rate_that_is_a_tensor_stays_the_same_tensor() -> None:
    rate, beta = torch.tensor(0.5, dtype=torch.float64), torch.tensor(0.9, dtype=torch.float64)
    param = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([param], lr=rate, betas=(beta, torch.tensor(0.99)), capturable=True)
    scheduler = build(SchedulerCfg(lr=COSINE, momentum=BEAT), optimizer)
    scheduler.step(12)
    saved = copy.deepcopy(optimizer.state_dict())
    scheduler.set(3)
    for state in (saved, {**saved, "param_groups": [{**saved["param_groups"][0], "lr": 7.0, "betas": (0.0, 0.5)}]}):
        optimizer.load_state_dict(state)
        group = optimizer.param_groups[0]
        assert group["lr"] is rate
        assert group["betas"][0] is beta
        assert rate.item() == pytest.approx(0.5 * cosine(3), rel=1e-12)
        assert beta.item() == 0.85
        assert float(group["betas"][1]) == float(state["param_groups"][0]["betas"][1])


def test_steps_read_nothing_from_the_device() -> None:
    param = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([param], lr=torch.tensor(0.5), capturable=True)
    optimizer.param_groups[0]["initial_lr"] = torch.tensor(0.5)
    scheduler = build(SchedulerCfg(lr=COSINE, weight_decay=COSINE, momentum=BEAT), optimizer)
    with count_host_reads() as reads:
        scheduler.step()
        scheduler.set(9)
    assert reads.count == 0
    assert values(optimizer) == pytest.approx([0.5 * cosine(9)], rel=1e-6)


def test_a_group_that_is_added_later_follows() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = build(SchedulerCfg(lr=LinearScheduleCfg(total_steps=4)), optimizer)
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 1.0})
    scheduler.step()
    assert values(optimizer) == [0.375, 0.75]


@pytest.mark.parametrize("number", [-1, math.nan, 1.5, math.inf])
def test_a_step_that_is_no_count_is_refused(number: Any) -> None:
    scheduler = build(SchedulerCfg(lr=COSINE), adamw(net()))
    for call in (scheduler.step, scheduler.set, lambda n: scheduler.load_state_dict({"step": n})):
        with pytest.raises(ConfigError, match=r"is (-1|nan|1\.5|inf)\. Expected an integer >= 0"):
            call(number)
    assert scheduler.state_dict() == {"step": 0}
    with pytest.raises(ConfigError, match=r"keys \['last_epoch'\].*'step'"):
        scheduler.load_state_dict({"last_epoch": 3})


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="warmup_steps is 30, total_steps 20"):
        build(SchedulerCfg(lr=CosineScheduleCfg(warmup_steps=30)), adamw(net()), 20)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_a_copy_is_alive_and_apart(copied: Any) -> None:
    optimizer = adamw(net())
    scheduler = build(SchedulerCfg(lr=COSINE), optimizer)
    scheduler.step(3)
    saved = copy.deepcopy(optimizer.state_dict())
    new, twin = copied((optimizer, scheduler))
    assert twin.optimizer is new
    twin.step(4)
    assert values(new) == pytest.approx([0.5 * cosine(7)] * 2, rel=1e-12)
    assert values(optimizer) == pytest.approx([0.5 * cosine(3)] * 2, rel=1e-12)
    new.load_state_dict(saved)
    assert values(new) == pytest.approx([0.5 * cosine(7)] * 2, rel=1e-12)


def test_the_optimizer_keeps_no_scheduler_alive() -> None:
    optimizer = adamw(net())
    scheduler = build(SchedulerCfg(lr=COSINE), optimizer)
    scheduler.step(5)
    gone = weakref.ref(scheduler)
    del scheduler
    gc.collect()
    assert gone() is None
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 0.125
    optimizer.load_state_dict(saved)
    assert values(optimizer) == [0.125, 0.5]


def test_a_failed_load_changes_no_rate() -> None:
    optimizer = adamw(net())
    scheduler = build(SchedulerCfg(lr=COSINE), optimizer)
    scheduler.step(2)
    with pytest.raises(ValueError, match="number of parameter groups"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    assert values(optimizer) == pytest.approx([0.5 * cosine(2)] * 2, rel=1e-12)


def test_the_config_stands_in_files_and_says_what_it_is() -> None:
    cfg = SchedulerCfg(lr=COSINE, groups={"a": LinearScheduleCfg(total_steps=9)})
    assert load(SchedulerCfg, dump(cfg)) == cfg
    assert "CosineScheduleCfg(total_steps=20" in repr(build(SchedulerCfg(lr=COSINE), adamw(net())))
