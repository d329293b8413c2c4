"""A state that was saved under another config: what is configured now takes effect, or an error says why it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dltools.cfgutils import build
from dltools.checkpoints import StoreCfg
from dltools.errors import ConfigError
from dltools.optim import (
    AdamCfg,
    AdamWCfg,
    ConstantScheduleCfg,
    GroupRuleCfg,
    MixedOptimCfg,
    MuonCfg,
    NAdamCfg,
    ParamGroupsCfg,
    PointsScheduleCfg,
    RMSpropCfg,
    SchedulerCfg,
    SGDCfg,
)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))


def stepped(cfg: Any, model: nn.Module) -> Any:
    optimizer = build(cfg, model)
    model(torch.ones(1, 2))[0, 0].backward()
    optimizer.step()
    return optimizer


CHANGES: list[tuple[Any, dict[str, Any]]] = [
    (AdamWCfg(), {"betas": (0.8, 0.95), "eps": 1e-6, "maximize": True}),
    (AdamCfg(amsgrad=True), {"amsgrad": False, "decoupled_weight_decay": True}),
    (SGDCfg(), {"momentum": 0.9, "nesterov": True}),
    (SGDCfg(momentum=0.9), {"momentum": 0.0}),
    (RMSpropCfg(centered=True), {"alpha": 0.5, "centered": False}),
    (NAdamCfg(), {"momentum_decay": 0.1}),
]


@pytest.mark.parametrize(("cfg", "changes"), CHANGES, ids=str)
def test_changed_options_take_effect(cfg: Any, changes: dict[str, Any]) -> None:
    model = net()
    new = build(cfg.replace(**changes), model)
    new.load_state_dict(stepped(cfg, model).state_dict())
    for group in new.param_groups:
        assert {name: group[name] for name in changes} == changes
        assert group["configured"].items() >= changes.items()
    new.step()
    again = build(cfg.replace(**changes), model)
    again.load_state_dict(new.state_dict())
    assert again.param_groups[0]["configured"] == new.param_groups[0]["configured"]


def test_options_of_a_plain_optimizer_give_way_to_the_config() -> None:
    model = net()
    new = build(AdamWCfg(betas=(0.5, 0.9)), list(model.parameters()))
    new.load_state_dict(torch.optim.AdamW(model.parameters()).state_dict())
    assert new.param_groups[0]["betas"] == (0.5, 0.9)


def test_a_value_that_was_moved_by_hand_stays_where_it_is() -> None:
    model = net()
    old = stepped(SGDCfg(momentum=0.9), model)
    old.param_groups[0]["momentum"] = 0.5
    new = build(SGDCfg(momentum=0.9), model)
    new.load_state_dict(old.state_dict())
    assert [group["momentum"] for group in new.param_groups] == [0.5, 0.9]


def test_a_momentum_that_is_scheduled_follows_its_schedule() -> None:
    model = net()
    moving = SchedulerCfg(momentum=PointsScheduleCfg(points=((0, 0.5), (10, 0.9))))
    old = stepped(AdamWCfg(), model)
    scheduler = build(moving, old)
    scheduler.step(5)
    new = build(AdamWCfg(betas=(0.9, 0.99)), model)
    other = build(moving, new)
    new.load_state_dict(old.state_dict())
    other.load_state_dict(scheduler.state_dict())
    assert new.param_groups[0]["betas"] == (pytest.approx(0.7), 0.99)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (AdamWCfg(), AdamWCfg(amsgrad=True), "amsgrad is True, and the state was saved without it.*'max_exp_avg_sq'"),
        (RMSpropCfg(), RMSpropCfg(centered=True), "centered is True.*'grad_avg'"),
        (RMSpropCfg(), RMSpropCfg(momentum=0.9), "momentum is 0.9.*'momentum_buffer'"),
        (SGDCfg(), AdamWCfg(), "that of another optimizer: it has no 'betas'"),
        (AdamWCfg(), SGDCfg(), "that of another optimizer: it has no 'momentum'"),
    ],
    ids=str,
)
def test_what_the_state_has_no_moments_for_is_refused(old: Any, new: Any, message: str) -> None:
    model = net()
    saved = stepped(old, model).state_dict()
    optimizer = build(new, model)
    with pytest.raises(ConfigError, match=message):
        optimizer.load_state_dict(saved)


def test_before_the_first_update_any_option_may_change() -> None:
    model = net()
    new = build(AdamWCfg(amsgrad=True), model)
    new.load_state_dict(build(AdamWCfg(), model).state_dict())
    model(torch.ones(1, 2))[0, 0].backward()
    new.step()
    assert new.param_groups[0]["amsgrad"] is True


def rules(*names: str) -> ParamGroupsCfg:
    """Rules for the two biases."""
    found = tuple(GroupRuleCfg(name=name, match=rf"^{name[-1]}\.bias") for name in names)
    return ParamGroupsCfg(rules=found)


def test_groups_in_another_order_are_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    saved = stepped(AdamWCfg(groups=rules("b0", "b1")), model).state_dict()
    swapped = ParamGroupsCfg(
        rules=(GroupRuleCfg(name="b1", match=r"^0\.bias"), GroupRuleCfg(name="b0", match=r"^1\.bias"))
    )
    with pytest.raises(ConfigError, match="group 'b1' would get the state of group 'b0'"):
        build(AdamWCfg(groups=swapped), model).load_state_dict(saved)


def mixed(momentum: float = 0.95, eps: float = 1e-8, **names: str) -> MixedOptimCfg:
    first, second = names.get("first", "muon"), names.get("second", "adamw")
    rule = GroupRuleCfg(name="matrices", roles=("weight",), optimizer=first)
    both = {first: MuonCfg(momentum=momentum), second: AdamWCfg(eps=eps)}
    return MixedOptimCfg(optimizers=both, default=second, groups=ParamGroupsCfg(rules=(rule,)))


def test_several_optimizers_each_follow_their_own_config() -> None:
    model = net()
    saved = stepped(mixed(), model).state_dict()
    new = build(mixed(momentum=0.5, eps=1e-3, second="rest"), model)
    new.load_state_dict(saved)
    assert [group["optimizer"] for group in new.param_groups] == ["muon", "rest"]
    assert new.param_groups[0]["momentum"] == 0.5
    assert new.param_groups[1]["eps"] == 1e-3
    before = [p.detach().clone() for p in model.parameters()]
    new.step()
    assert not any(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_through_a_checkpoint(tmp_path: Path) -> None:
    model = net()
    old, store = stepped(AdamWCfg(lr=0.1), model), build(StoreCfg(root=tmp_path))
    scheduler = build(SchedulerCfg(lr=ConstantScheduleCfg()), old)
    store.save({"model": model, "optim": old, "schedule": scheduler}, step=1)
    new = build(AdamWCfg(lr=0.2, betas=(0.8, 0.9)), model)
    again = build(SchedulerCfg(lr=ConstantScheduleCfg()), new)
    store.load("newest", into={"model": model, "optim": new, "schedule": again})
    assert [(g["lr"], g["betas"]) for g in new.param_groups] == [(0.2, (0.8, 0.9))] * 2
