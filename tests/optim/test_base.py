from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.optim import AdamWCfg, GroupRuleCfg, OptimCfg, ParamGroupsCfg, SGDCfg, param_groups


class PlainCfg(OptimCfg["Plain"]):
    """An optimizer of one's own."""

    lr: float = 0.5


class Plain(torch.optim.Optimizer):
    """It has neither weight decay nor implementations to choose from."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))


def flags(optimizer: torch.optim.Optimizer) -> set[tuple[Any, Any]]:
    return {(group.get("fused"), group.get("foreach")) for group in optimizer.param_groups}


def test_biases_and_norms_get_no_decay() -> None:
    optimizer = build(AdamWCfg(lr=0.1, weight_decay=0.5), net())
    found = [(g["name"], g["lr"], g["weight_decay"], len(g["params"])) for g in optimizer.param_groups]
    assert found == [("decay", 0.1, 0.5, 1), ("no_decay", 0.1, 0.0, 3)]
    assert [(g["initial_lr"], g["initial_weight_decay"]) for g in optimizer.param_groups] == [(0.1, 0.5), (0.1, 0.0)]


def test_what_is_no_module_passes_through() -> None:
    model = net()
    given = [{"params": model[0].parameters(), "lr": 0.25}, {"params": model[1].weight, "weight_decay": 0.0}]
    for optimizer in (build(AdamWCfg(), given), build(AdamWCfg(), iter(param_groups(model, lr=1.0, weight_decay=0.1)))):
        assert len(optimizer.param_groups) == 2
    optimizer = build(AdamWCfg(lr=0.5), [{"params": model[0].parameters(), "lr": 0.25}, {"params": model[1].weight}])
    assert [(g["lr"], g["weight_decay"], len(g["params"])) for g in optimizer.param_groups] == [
        (0.25, 0.01, 2),
        (0.5, 0.01, 1),
    ]
    named: Any = model.named_parameters()
    plain = build(SGDCfg(), named)
    assert plain.param_groups[0]["param_names"] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert flags(plain) == {(True, None)}


def test_given_groups_are_not_changed() -> None:
    groups = param_groups(net(), lr=1.0, weight_decay=0.1)
    keys = [set(group) for group in groups]
    build(AdamWCfg(), groups)
    assert [set(group) for group in groups] == keys


def test_auto_is_fused_where_torch_can() -> None:
    assert flags(build(AdamWCfg(), net())) == {(True, None)}
    assert flags(build(SGDCfg(), net().parameters())) == {(True, None)}
    assert flags(build(AdamWCfg(differentiable=True), net())) == {(None, None)}
    assert flags(build(SGDCfg(), nn.Embedding(3, 2, sparse=True))) == {(None, None)}
    assert flags(build(AdamWCfg(), [nn.Parameter(torch.zeros(2, dtype=torch.complex64))])) == {(None, None)}
    assert flags(build(AdamWCfg(), nn.Linear(2, 2, device="meta"))) == {(None, None)}
    assert flags(build(PlainCfg(), net())) == {(None, None)}


def test_impl_says_which() -> None:
    expected = {"fused": (True, None), "foreach": (None, True), "loop": (False, False)}
    for impl, found in expected.items():
        assert flags(build(AdamWCfg(impl=impl), net())) == {found}  # type: ignore[arg-type]
    assert flags(build(PlainCfg(impl="loop"), net())) == {(None, None)}
    with pytest.raises(ConfigError, match=r"'foreach', which Plain does not have.*auto"):
        build(PlainCfg(impl="foreach"), net())
    for cfg, params in (
        (SGDCfg(impl="fused"), nn.Embedding(3, 2, sparse=True)),
        (SGDCfg(impl="fused", differentiable=True), net()),
        (AdamWCfg(impl="fused"), [nn.Parameter(torch.zeros(2, dtype=torch.complex64))]),
    ):
        with pytest.raises(ConfigError, match=r"impl is 'fused', which these.*floating-point.*auto"):
            build(cfg, params)


@pytest.mark.parametrize("impl", ["auto", "fused", "foreach", "loop"])
def test_every_implementation_makes_the_same_step(impl: Any) -> None:
    torch.manual_seed(0)
    model = net().double()
    reference = copy.deepcopy(model)
    ours, theirs = build(AdamWCfg(lr=0.1, impl=impl), model), torch.optim.AdamW(reference.parameters(), lr=0.1)
    for group in ours.param_groups:
        group["weight_decay"] = 0.01  # as torch, which groups nothing
    for one, optimizer in ((model, ours), (reference, theirs)):
        for n in range(3):
            one(torch.arange(8.0, dtype=torch.float64).view(4, 2) - n).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    for mine, real in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, real, rtol=1e-12, atol=1e-14)


def test_sparse_gradients_are_applied() -> None:
    table = nn.Embedding(3, 2, sparse=True)
    nn.init.zeros_(table.weight)
    optimizer = build(SGDCfg(lr=0.5), table)
    table(torch.tensor([1])).sum().backward()
    optimizer.step()
    assert torch.equal(table.weight, torch.tensor([[0.0, 0.0], [-0.5, -0.5], [0.0, 0.0]]))


def test_nothing_to_train_is_said() -> None:
    used = net().parameters()
    list(used)
    for params in ([], used, [{"params": []}], net().requires_grad_(False), nn.ReLU()):
        with pytest.raises(ConfigError, match=r"AdamWCfg got no trainable parameter.*generator"):
            build(AdamWCfg(), params)


@pytest.mark.parametrize("params", [nn.Parameter(torch.zeros(2)), {"params": []}, "weight", 3, None])
def test_what_is_no_list_of_parameters_is_said(params: Any) -> None:
    with pytest.raises(ConfigError, match=f"params is a {type(params).__name__}.*in a list"):
        build(AdamWCfg(), params)


def test_a_group_without_parameters_is_said() -> None:
    with pytest.raises(ConfigError, match=r"keys \['lr', 'param'\]"):
        build(AdamWCfg(), [{"param": [], "lr": 1.0}])


def test_a_changed_config_is_honoured_on_load() -> None:
    model = net()
    rule = GroupRuleCfg(name="old", types=("LayerNorm",), freeze_steps=5)
    old = build(AdamWCfg(lr=0.1, weight_decay=0.5, betas=(0.8, 0.9), groups=ParamGroupsCfg(rules=(rule,))), model)
    model(torch.ones(1, 2)).sum().backward()
    old.step()
    old.param_groups[0]["lr"] = 0.025  # a schedule was here
    saved = old.state_dict()
    kept = copy.deepcopy(saved)
    renamed = ParamGroupsCfg(rules=(rule.replace(name="new", freeze_steps=9),))
    new = build(AdamWCfg(lr=0.2, weight_decay=0.25, impl="loop", groups=renamed), model)
    new.load_state_dict(saved)
    first, last = new.param_groups[0], new.param_groups[-1]
    assert (first["initial_lr"], first["lr"]) == (0.2, 0.05)
    assert (first["initial_weight_decay"], first["weight_decay"]) == (0.25, 0.25)
    assert (last["lr"], last["weight_decay"], last["name"], last["freeze_steps"]) == (0.2, 0.0, "new", 9)
    assert first["betas"] == (0.9, 0.999)
    assert flags(new) == {(False, False)}
    assert saved["param_groups"] == kept["param_groups"]
    moment = new.state[model[0].weight]["exp_avg"]
    assert torch.equal(moment, old.state[model[0].weight]["exp_avg"])


def test_the_same_config_loads_what_was_saved() -> None:
    model = net()
    old = build(AdamWCfg(lr=0.1), model)
    old.param_groups[1]["lr"] = 0.07
    new = build(AdamWCfg(lr=0.1), model)
    new.load_state_dict(old.state_dict())
    assert [group["lr"] for group in new.param_groups] == [0.1, 0.07]


def test_the_state_of_a_plain_optimizer_takes_the_configured_rate() -> None:
    model = net()
    new = build(AdamWCfg(lr=0.2), list(model.parameters()))
    new.load_state_dict(torch.optim.AdamW(model.parameters(), lr=0.1).state_dict())
    assert [(g["lr"], g["initial_lr"], g["fused"]) for g in new.param_groups] == [(0.2, 0.2, True)]


def test_another_number_of_groups_is_torch_s_error() -> None:
    model = net()
    with pytest.raises(ValueError, match="different number of parameter groups"):
        build(AdamWCfg(), model).load_state_dict(torch.optim.AdamW(model.parameters()).state_dict())
