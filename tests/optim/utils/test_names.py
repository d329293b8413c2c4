from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from dltools.optim.utils import named_parameters, named_tensors, unwrap, walk
from tests.optim.tricky import TrickyModel


def test_without_wrappers_the_names_are_torch_s() -> None:
    model = TrickyModel()
    assert [name for name, _ in walk(model)] == [name for name, _ in model.named_modules(remove_duplicate=False)]
    assert list(dict(named_parameters(model))) == [n for n, _ in model.named_parameters(remove_duplicate=False)]
    own, torchs = named_tensors(model), model.state_dict()
    assert own.keys() == torchs.keys() - {"classify.weight"}
    assert all(torch.equal(tensor, torchs[name]) for name, tensor in own.items())


def test_wrappers_leave_no_trace_at_any_depth() -> None:
    plain = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.BatchNorm1d(2))
    names = [name for name, _ in walk(plain)]
    inner: Any = checkpoint_wrapper(nn.DataParallel(plain[0]))
    middle: Any = nn.DataParallel(nn.Sequential(torch.compile(inner, backend="eager"), plain[1]))
    wrapped: Any = torch.compile(middle, backend="eager")
    assert [name for name, _ in walk(wrapped)] == names
    assert [module for _, module in walk(wrapped)][1:] == [module for _, module in walk(plain)][1:]
    assert named_tensors(wrapped).keys() == named_tensors(plain).keys()
    assert unwrap(inner) is plain[0]


def test_a_module_of_ones_own_called_module_keeps_its_name() -> None:
    own = nn.Module()
    own.module = nn.Linear(1, 1)
    assert unwrap(own) is own
    assert [name for name, _ in walk(own)] == ["", "module"]
    assert list(dict(named_parameters(own))) == ["module.weight", "module.bias"]


def test_a_shared_module_comes_under_each_name_and_its_tensors_once() -> None:
    shared = nn.Linear(1, 1)
    model = nn.ModuleDict({"a": shared, "b": shared})
    assert [name for name, _ in walk(model)] == ["", "a", "b"]
    assert list(dict(named_parameters(model))) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    assert list(named_tensors(model)) == ["a.weight", "a.bias"]


def test_buffers_that_are_not_saved_are_left_out() -> None:
    model = nn.Module()
    model.register_buffer("kept", torch.zeros(1))
    model.register_buffer("passing", torch.zeros(1), persistent=False)
    model.register_buffer("absent", None)
    assert named_tensors(model).keys() == model.state_dict().keys() == {"kept"}


def test_what_lightning_fabric_makes_of_a_module_is_unwrapped() -> None:
    class Wrapper(nn.Module):
        """With the children of Fabric's own."""

        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self._forward_module, self._original_module = nn.DataParallel(net), net

    net = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    assert unwrap(Wrapper(net)) is net
    assert [name for name, _ in named_parameters(Wrapper(net))] == [name for name, _ in net.named_parameters()]
