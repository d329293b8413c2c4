"""Modules of anybody as losses."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dltools.errors import ShapeError
from dltools.losses import from_module
from dltools.meters import collect


def test_any_module_is_a_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.randn(2, 10, 4, generator=generator, dtype=torch.float64)
    mask = torch.rand(10, 4, generator=generator) > 0.3
    whole = from_module(nn.SmoothL1Loss())
    assert whole(pred, target).item() == pytest.approx(F.smooth_l1_loss(pred, target).item())
    assert collect({"a": whole}).n["a/loss"] == 10
    each = from_module(nn.SmoothL1Loss(reduction="none"))
    assert each(pred, target, mask=mask).item() == pytest.approx(F.smooth_l1_loss(pred[mask], target[mask]).item())
    with pytest.raises(ShapeError, match="a mask or weight map, for a module that gives one value"):
        whole(pred, target, mask=mask)
    x = torch.zeros(0, 4, requires_grad=True)
    whole(x, x.detach()).backward()
    assert whole.parts()["loss"].item() == 0
    proxies = from_module(nn.Bilinear(4, 4, 1))
    assert {name for name, _ in proxies.named_parameters()} == {"module.weight", "module.bias"}
    assert proxies(pred.float(), target.float()).requires_grad


def test_a_module_travels() -> None:
    loss = from_module(nn.MSELoss(reduction="none"), sync="mean")
    for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
        assert other.cfg == loss.cfg
        assert other(torch.zeros(3), torch.full((3,), 2.0)).item() == 4
