"""Restoring is all or nothing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dltools.errors import CheckpointError
from tests.checkpoints.boxes import Box, store_in


class Picky(Box):
    """Takes the state in, then refuses it."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]
        if self.value == "bad":
            raise KeyError("gone")


def test_if_a_part_refuses_all_are_as_they_were(tmp_path: Path) -> None:
    net, other = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    store_in(tmp_path).save({"model": net, "optim": optimizer, "a": Box([1]), "z": Picky("bad")}, step=1)
    fresh = torch.optim.SGD(other.parameters(), 0.3)
    before = copy.deepcopy((other.state_dict(), fresh.state_dict()))
    box, picky = Box(["old"]), Picky("good")
    with pytest.raises(CheckpointError, match="part 'z' refuses its state: 'gone'"):
        store_in(tmp_path).load(into={"model": other, "a": box, "optim": fresh, "z": picky})
    assert (box.value, picky.value) == (["old"], "good")
    assert fresh.state_dict() == before[1]
    assert all(torch.equal(x, before[0][name]) for name, x in other.state_dict().items())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Linear(2, 3), r"model.weight of .* has shape \[2, 2\]. Expected \[3, 2\]"),
        (nn.Linear(2, 2, bias=False), "has bias"),
        (nn.Sequential(nn.Linear(2, 2)), "lacks 0.bias, 0.weight and has bias, weight"),
    ],
)
def test_a_module_that_does_not_fit_is_told_what_does_not(other: nn.Module, message: str, tmp_path: Path) -> None:
    store_in(tmp_path).save({"model": nn.Linear(2, 2), "box": Box(1)}, step=1)
    before, box = copy.deepcopy(other.state_dict()), Box("old")
    with pytest.raises(CheckpointError, match=message):
        store_in(tmp_path).load(into={"box": box, "model": other})
    assert box.value == "old"
    assert all(torch.equal(x, before[name]) for name, x in other.state_dict().items())


def test_a_part_may_be_restored_alone(tmp_path: Path) -> None:
    store_in(tmp_path).save({"model": nn.Linear(2, 2), "box": Box(1)}, step=1)
    box = Box()
    assert set(store_in(tmp_path).load(into={"box": box}).parts) == {"model", "box"}
    assert box.value == 1
