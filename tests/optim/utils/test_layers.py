from __future__ import annotations

import pytest
import torch
from torch import nn

from dltools.errors import ConfigError
from dltools.optim import ParamGroupsCfg, param_groups
from dltools.optim.utils import layer_depths


class Transformer(nn.Module):
    """The parts in front, a stack with a stack in it, the parts behind."""

    def __init__(self) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, 2))
        self.patch = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(2), nn.Linear(2, 2)


EXPECTED = {
    "class_token": -1, "patch.0.weight": -1, "patch.1.bias": -1, "blocks.0.0.weight": 0, "blocks.1.1.bias": 1,
    "blocks.2.0.weight": 2, "norm.weight": 3, "head.bias": 3,
}  # fmt: skip


def test_depths_before_inside_and_after_the_largest_stack() -> None:
    assert layer_depths(Transformer(), EXPECTED) == EXPECTED
    rows = param_groups(Transformer(), lr=1.0, weight_decay=0.0, cfg=ParamGroupsCfg(layer_decay=0.5)).rows
    assert {name: rows[name].lr for name in EXPECTED} == {name: 0.5 ** (3 - depth) for name, depth in EXPECTED.items()}


def test_a_frozen_stack_still_separates_what_is_before_from_what_is_after() -> None:
    model = Transformer()
    model.blocks.requires_grad_(False)
    rows = param_groups(model, lr=1.0, weight_decay=0.0, cfg=ParamGroupsCfg(layer_decay=0.5)).rows
    assert rows["head.weight"].lr == 1.0
    assert rows["class_token"].lr == rows["patch.0.weight"].lr == 0.5**4


def test_the_last_trainable_layer_has_the_full_rate() -> None:
    model = Transformer()
    model.norm.requires_grad_(False)
    model.head.requires_grad_(False)
    rows = param_groups(model, lr=1.0, weight_decay=0.0, cfg=ParamGroupsCfg(layer_decay=0.5)).rows
    assert rows["blocks.2.0.weight"].lr == 1.0
    assert rows["blocks.0.0.weight"].lr == 0.25


@pytest.mark.parametrize("model", [nn.Linear(2, 2), nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ModuleList()})])
def test_a_model_without_a_stack_is_refused(model: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"no Sequential or ModuleList.*lr_mult"):
        param_groups(model, lr=1.0, weight_decay=0.0, cfg=ParamGroupsCfg(layer_decay=0.5))
