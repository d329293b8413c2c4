from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from dltools.cfgutils import build, dump, load
from dltools.errors import ConfigError
from dltools.handlers import StepHandlerCfg
from dltools.optim import (
    AdamWCfg,
    GroupRuleCfg,
    LinearScheduleCfg,
    MixedOptim,
    MixedOptimCfg,
    MuonCfg,
    OptimCfg,
    ParamGroupsCfg,
    SchedulerCfg,
    SGDCfg,
)

RULES = (GroupRuleCfg(name="hidden", match=r"^1\.", roles=("weight",), optimizer="muon"),)
CFG = MixedOptimCfg(
    optimizers={"muon": MuonCfg(lr=0.02, weight_decay=0.5), "adamw": AdamWCfg(lr=0.01)},
    default="adamw",
    groups=ParamGroupsCfg(rules=RULES),
    lr=0.5,
)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.LayerNorm(4)).double()


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for n in steps:
        model(torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3) * n).cos().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def test_each_parameter_goes_to_one_of_them() -> None:
    optimizer = build(CFG, net())
    found = [(g["name"], g["optimizer"], g["lr"], g["weight_decay"], len(g["params"])) for g in optimizer.param_groups]
    assert found == [
        ("hidden", "muon", 0.01, 0.5, 1),
        ("decay", "adamw", 0.005, 0.01, 1),
        ("no_decay", "adamw", 0.005, 0.0, 4),
    ]
    assert [g["initial_lr"] for g in optimizer.param_groups] == [0.01, 0.005, 0.005]
    assert load(OptimCfg, dump(CFG)) == CFG


def test_it_moves_as_the_two_apart_would() -> None:
    model, reference = net(), net()
    mixed = build(CFG, model)
    hidden = reference[1].weight
    others = [p for p in reference.parameters() if p is not hidden]
    muon = torch.optim.Muon([hidden], lr=0.01, weight_decay=0.5)
    decayed = reference[0].weight
    adamw = torch.optim.AdamW(
        [
            {"params": [decayed], "weight_decay": 0.01},
            {"params": [p for p in others if p is not decayed], "weight_decay": 0.0},
        ],
        lr=0.005,
    )
    for n in range(4):
        for one, optimizers in ((model, [mixed]), (reference, [muon, adamw])):
            one(torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3) * n).cos().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
    torch.testing.assert_close(weights(model), weights(reference), rtol=1e-12, atol=1e-14)


def test_it_goes_on_from_its_state() -> None:
    whole, first, second = net(), net(), net()
    train(whole, build(CFG, whole), range(6))
    optimizer = build(CFG, first)
    train(first, optimizer, range(3))
    second.load_state_dict(first.state_dict())
    other = build(CFG, second)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(second, other, range(3, 6))
    assert torch.equal(weights(whole), weights(second))
    assert {id(group) for one in other.optimizers.values() for group in one.param_groups} == set(
        map(id, other.param_groups)
    )


def test_a_copy_is_as_good() -> None:
    model = net()
    optimizer = build(CFG, model)
    train(model, optimizer, range(2))
    both = {"model": model, "optimizer": optimizer}
    copied = copy.deepcopy(both), pickle.loads(pickle.dumps(both))
    train(model, optimizer, range(2, 4))
    for one in copied:
        train(one["model"], one["optimizer"], range(2, 4))
        assert torch.equal(weights(one["model"]), weights(model))


def test_schedules_and_handlers_see_one_optimizer() -> None:
    model = net()
    optimizer = build(CFG, model)
    cfg = StepHandlerCfg(schedule=SchedulerCfg(lr=LinearScheduleCfg(total_steps=4)))
    step = build(cfg, model, optimizer)
    step(model(torch.ones(2, 3, dtype=torch.float64)).cos().sum())
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.0075, 0.00375, 0.00375])
    before = weights(model)
    info = step(model(torch.full((2, 3), torch.nan, dtype=torch.float64)).sum())
    assert info.skipped is not None
    assert info.skipped.item() == 1
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("is_nan", [True, False])
def test_fused_ones_are_gated_on_the_device(is_nan: bool) -> None:
    groups = ParamGroupsCfg(rules=(GroupRuleCfg(name="first", match="^0", optimizer="b"),))
    model = net().float()
    cfg = MixedOptimCfg(optimizers={"a": AdamWCfg(), "b": AdamWCfg(lr=0.1)}, default="a", groups=groups)
    optimizer = build(cfg, model)
    step = build(StepHandlerCfg(), model, optimizer)
    assert "found_inf on the device" in repr(step)
    step(model(torch.ones(2, 3)).cos().sum())
    before = weights(model)
    step(model(torch.full((2, 3), torch.nan if is_nan else 1.0)).cos().sum())
    assert torch.equal(weights(model), before) == is_nan


def test_groups_of_one_s_own() -> None:
    first, second = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))
    optimizer: MixedOptim = build(CFG, [{"params": [first], "optimizer": "muon", "lr": 0.25}, {"params": [second]}])
    assert [(g["optimizer"], g["lr"]) for g in optimizer.param_groups] == [("muon", 0.25), ("adamw", 0.005)]
    assert [g["lr"] for g in build(CFG, [second]).param_groups] == [0.005]


def test_mistakes() -> None:
    both: dict[str, Any] = {"muon": MuonCfg(), "adamw": AdamWCfg()}
    with pytest.raises(ConfigError, match="default: no optimizer 'adam'; did you mean 'adamw'"):
        MixedOptimCfg(optimizers=both, default="adam")
    rules = (GroupRuleCfg(name="x", optimizer="sgd"),)
    with pytest.raises(ConfigError, match="rule 'x': no optimizer 'sgd'"):
        MixedOptimCfg(optimizers=both, default="adamw", groups=ParamGroupsCfg(rules=rules))
    with pytest.raises(ConfigError, match=r"optimizers\.a has groups of its own"):
        MixedOptimCfg(optimizers={"a": AdamWCfg(groups=ParamGroupsCfg(layer_decay=0.5))}, default="a")
    with pytest.raises(ConfigError, match=r"rule 'hidden' chooses the optimizer 'muon'.*MixedOptimCfg"):
        build(SGDCfg(groups=ParamGroupsCfg(rules=RULES)), net())
    with pytest.raises(ConfigError, match=r"Muon.*MixedOptimCfg"):
        build(CFG, [{"params": [nn.Parameter(torch.zeros(2))], "optimizer": "muon"}])
