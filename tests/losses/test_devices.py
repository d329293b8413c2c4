"""A loss stays on the device of what it is given: after the first call nothing goes there from the host, or back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from dltools.cfgutils import Config
from dltools.losses import (
    CELossCfg,
    CombineCfg,
    CTCLossCfg,
    DenseLossCfg,
    DiceLossCfg,
    EmaNormCfg,
    LinearWeightCfg,
    LossCfg,
    MSSSIMLossCfg,
)
from tests.losses import reference as ref
from tests.losses.dense import EVERY, changed, reads, takes_shares, weights
from tests.losses.scenes import scene
from tests.strategies import example, subclasses

SOME = {name: cfg for name, cfg in EVERY.items() if reads(cfg).task != "binary"}
OTHERS = [
    cls
    for cls in subclasses(LossCfg)
    if cls.tag and cls.__module__.startswith("dltools.") and not issubclass(cls, (CTCLossCfg, DenseLossCfg))
]
"""CTC has no kernel for tensors without memory."""


class Traffic(TorchDispatchMode):
    """Operators between two devices, on a GPU copies that wait, or errors; a number may come from the host."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given, made = ([x for x in tree_leaves(tree) if isinstance(x, Tensor)] for tree in ((args, kwargs), out))
        devices = {x.device for x in given if x.ndim or x.device.type == "meta"} | {x.device for x in made}
        constant = func is torch.ops.aten.lift_fresh.default and all(x.ndim for x in made)
        if (given and len(devices) > 1) or constant:
            self.seen.add(str(func))
        return out


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which torch has not on this device."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


def away(tree: Any) -> Any:
    return tree_map_only(Tensor, lambda x: x.detach().to("meta").requires_grad_(x.is_floating_point()), tree)


def stays(loss: Any, pred: Any, target: Any, **extra: Any) -> None:
    """Twice: the first call may bring along what the loss holds."""
    pred, target, extra = away(pred), away(target), away(extra)
    loss(pred, target, **extra).sum().backward()
    with Traffic() as traffic:
        value = loss(pred, target, **extra)
        value.sum().backward()
    assert value.device.type == "meta"
    assert traffic.seen == set()


@pytest.mark.parametrize("cfg", SOME.values(), ids=SOME.keys())
def test_losses_of_logits_stay(cfg: LossCfg[Any]) -> None:
    task, loss = reads(cfg).task, changed(cfg, class_weights=weights(cfg)).build()
    pred, target = ref.batch(3, 2, 3, 3, 4, task=task, soft=task == "multilabel" and takes_shares(cfg))
    stays(loss, pred, target, weight_map=torch.ones(2, 3, 4))


@pytest.mark.parametrize("cls", OTHERS, ids=lambda cls: cls.tag)
def test_other_losses_stay(cls: type[Config[Any]]) -> None:
    pred, target, mask, _ = scene(cls, "multiclass")
    fields = {"weights": (0.4, 0.6), "window": 3} if cls is MSSSIMLossCfg else {}
    loss: Any = example(cls).replace(**fields).build().to("meta")  # type: ignore[attr-defined]
    stays(loss, pred, target, mask=mask.logical_not())


def test_schedules_and_averages_stay() -> None:
    terms = {"ce": CELossCfg(class_weights=(1.0, 2.0, 3.0)), "dice": DiceLossCfg(classes=(0, 2))}
    schedule = {"ce": LinearWeightCfg(first=1.0, last=0.0, steps=4)}
    loss = CombineCfg(terms=terms, weights=schedule, balance=EmaNormCfg()).build()
    pred, target = ref.batch(3, 2, 3, 4)
    stays(loss, pred, target)
    loss.step()
    stays(loss, pred, target)
    again = CombineCfg(terms=terms, weights=schedule, balance=EmaNormCfg()).build()
    again.load_state_dict({name: torch.zeros_like(x, device="cpu") for name, x in loss.state_dict().items()})


def test_what_came_along_in_inference_serves_a_backward() -> None:
    loss = CELossCfg(class_weights=(1.0, 2.0, 3.0)).build()
    pred, target = (away(x) for x in ref.batch(3, 2, 3, 4))
    with torch.inference_mode():
        loss(pred, target)
    loss(pred, target).backward()
    assert loss.class_weights is not None
    assert loss.class_weights.device.type == "meta"
