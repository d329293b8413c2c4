"""Sums, shares of parameters and buffers: what a loss takes over from other ranks and devices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.losses import DiceLoss, distutils
from dltools.losses.buffers import buffer_on
from dltools.losses.distutils import own_share, sync_sums


def two_alike(monkeypatch: pytest.MonkeyPatch, groups: list[Any]) -> None:
    """As if there were another rank with the same numbers."""

    def world(group: Any = None) -> int:
        groups.append(group)
        return 2

    def all_reduce(x: Tensor, group: Any = None) -> None:
        groups.append(group)
        x.mul_(2)

    monkeypatch.setattr(distutils, "world", world)
    monkeypatch.setattr(distutils.dist, "all_reduce", all_reduce)


@pytest.mark.parametrize(("sync", "factor"), [("none", 1.0), ("mean", 2.0), ("sum", 1.0)])
def test_sums_of_two_ranks(sync: Any, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[Any] = []
    two_alike(monkeypatch, groups)
    a, b = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor(3.0, dtype=torch.float64)
    sums = {"a": a * 1, "b": b}
    out = sync_sums(sums, sync, "group")
    times = 1 if sync == "none" else 2
    assert {name: x.tolist() for name, x in out.items()} == {"a": [[times, 2 * times]], "b": 3 * times}
    assert (out["a"].dtype, out["b"].dtype, out["a"].shape) == (torch.float32, torch.float64, (1, 2))
    out["a"].sum().backward()
    assert a.grad is not None
    assert a.grad.tolist() == [[factor, factor]]
    assert sums["a"].tolist() == [[1.0, 2.0]]
    assert set(groups) <= {"group"}


@pytest.mark.parametrize(("sync", "factor"), [("none", 1.0), ("mean", 1.0), ("sum", 0.5)])
def test_a_parameter_s_own_share(sync: Any, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[Any] = []
    two_alike(monkeypatch, groups)
    parameter = torch.tensor([4.0], requires_grad=True)
    share = own_share(parameter, sync, "group")
    assert share.tolist() == [4.0]
    share.sum().backward()
    assert parameter.grad is not None
    assert parameter.grad.item() == factor
    assert set(groups) <= {"group"}
    monkeypatch.undo()
    assert own_share(parameter, sync) is parameter


def test_a_buffer_moves_once() -> None:
    loss = DiceLoss(class_weights=(1.0, 2.0))
    first = loss.class_weights
    assert buffer_on(loss, "class_weights", torch.device("cpu")) is first
    with torch.inference_mode():
        moved = buffer_on(loss, "class_weights", torch.device("meta"))
    assert moved.device.type == "meta"
    assert not moved.is_inference()
    assert buffer_on(loss, "class_weights", torch.device("meta")) is moved is loss.class_weights
