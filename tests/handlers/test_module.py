from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.handlers import CheckpointActivationsCfg, CompileModuleCfg


class Counting(nn.Module):
    """A layer that counts its forward passes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.drop = nn.Dropout(0.5)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        result: Tensor = self.drop(self.inner(x).tanh())
        return result


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(Counting() for _ in range(4)))


def gradients(model: nn.Module) -> list[Tensor]:
    torch.manual_seed(1)
    model(torch.ones(2, 3)).square().sum().backward()
    return [param.grad.clone() for param in model.parameters() if param.grad is not None]


def calls(model: Any) -> list[int]:
    return [layer.calls for layer in model]


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        (CheckpointActivationsCfg(), [2, 2, 2, 2]),
        (CheckpointActivationsCfg(every=2), [2, 1, 2, 1]),
        (CheckpointActivationsCfg(match="^[12]$"), [1, 2, 2, 1]),
        (CheckpointActivationsCfg(match="inner"), [1, 1, 1, 1]),
    ],
)
def test_gradients_are_the_same_and_activations_are_computed_twice(cfg: Any, expected: list[int]) -> None:
    plain, model = net(), net()
    keys = list(model.state_dict())
    build(cfg)(model)
    assert list(model.state_dict()) == keys
    for a, b in zip(gradients(plain), gradients(model), strict=True):
        assert torch.equal(a, b)
    assert calls(model) == expected
    with torch.no_grad():
        model(torch.ones(1, 3))
    assert calls(model) == [n + 1 for n in expected]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_stand_for_themselves(copied: Any) -> None:
    model = net()
    build(CheckpointActivationsCfg(every=1))(model)
    other = copied(model)
    gradients(other)
    assert calls(model) == [0] * 4
    assert calls(other) == [2] * 4


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch itself, while it traces
def test_compiled_in_place() -> None:
    model, plain = net().eval(), net().eval()
    keys = list(model.state_dict())
    build(CompileModuleCfg(backend="eager"))(model)
    assert list(model.state_dict()) == keys
    assert torch.equal(model(torch.ones(2, 3)), plain(torch.ones(2, 3)))


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="no regular expression"):
        CheckpointActivationsCfg(match="(")
    with pytest.raises(ConfigError, match="one of both"):
        CheckpointActivationsCfg(match="a", every=1)
    with pytest.raises(ConfigError, match="match 'iner' fits no module"):
        build(CheckpointActivationsCfg(match="iner"))(net())
    with pytest.raises(ConfigError, match="no Sequential or ModuleList"):
        build(CheckpointActivationsCfg(every=1))(nn.Linear(1, 1))
