"""Losses over ranks: value and merged gradient are those of one process, by one collective."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.distributed as c10d
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dltools.losses import (
    CELossCfg,
    CombineCfg,
    DiceLossCfg,
    FocalLossCfg,
    LinearWeightCfg,
    LossCfg,
    LovaszSoftmaxLossCfg,
    TverskyLossCfg,
    View,
)
from dltools.meters import collect
from tests.distributed.spawn import run_ranks
from tests.losses import reference as ref
from tests.losses.dense import CHANNELS, EVERY, changed, reads

FOUR: dict[str, LossCfg[Any]] = {
    "ce": CELossCfg(ignore_index=255, label_smoothing=0.1),
    "dice": DiceLossCfg(ignore_index=255),
    "tversky": TverskyLossCfg(ignore_index=255, alpha=0.3, over="sample"),
    "focal": FocalLossCfg(ignore_index=255),
}
CONFIGS: dict[str, LossCfg[Any]] = {
    "ce": CELossCfg(ignore_index=255, class_weights=(1.0, 2.0, 0.5)),
    "ce sum": CELossCfg(ignore_index=255, reduction="sum"),
    "focal": FocalLossCfg(ignore_index=255, task="multilabel", normalizer="positives"),
    "dice": DiceLossCfg(ignore_index=255),
    "dice score": DiceLossCfg(ignore_index=255, empty="score", reduction="sum"),
    "tversky": TverskyLossCfg(ignore_index=255, over="sample", class_weights=(1.0, 2.0, 0.5)),
    "lovasz": LovaszSoftmaxLossCfg(ignore_index=255),
    "combine": CombineCfg(terms=FOUR, weights={"dice": LinearWeightCfg(first=0.5, last=0.0, steps=5)}),
}
OWN = tuple(CONFIGS)
CONFIGS |= {name: changed(cfg, ignore_index=255) for name, cfg in EVERY.items() if "exact" not in name}
"""The order of all pixels is not known to a rank."""
TERMS: dict[str, LossCfg[Any]] = {
    cfg.tag: cfg for name, cfg in CONFIGS.items() if name.endswith("Loss multiclass") and "Hardest" not in name
}
ALL = CombineCfg(terms=TERMS, sync="mean")
SHARDS = ([2, 1, 3], [0, 4])
"""Samples of each rank; in the second batch of each, all of rank 1 is ignored."""


class Wire(TorchDispatchMode):
    """Names of the collectives that run."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace in ("c10d", "_c10d_functional"):
            self.calls.append(func.name())
        return func(*args, **(kwargs or {}))


def whole(name: str, shards: list[int], ignored: bool) -> tuple[Tensor, Tensor]:
    task = getattr(reads(CONFIGS[name]), "task", "multiclass")
    pred, target = ref.batch(len(name), sum(shards), CHANNELS[task], 7, task=task)
    target[0, ..., :3] = 255
    if ignored:
        target[shards[0] : shards[0] + shards[1]] = 255
    return pred, target


def share(x: Tensor, shards: list[int], rank: int) -> Tensor:
    return x.split(shards)[rank].clone()


def scales(size: int = 3) -> Tensor:
    return torch.linspace(0.5, 1.5, size, dtype=torch.float64).view(1, size, 1).requires_grad_()


def run(cfg: LossCfg[Any], pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor, float]:
    """Loss, gradient by a parameter that all samples pass, logged value."""
    scale, loss = scales(pred.shape[1]), cfg.build()
    value = loss(pred * scale, target)
    (grad,) = torch.autograd.grad(value, scale)
    return value.detach(), grad, collect({"a": loss}, sync=False)["a/loss"]


def merge(grad: Tensor, how: str) -> Tensor:
    """What DDP does with the gradients of the ranks, or a plain sum."""
    grad = grad.clone()
    c10d.all_reduce(grad)
    return grad / c10d.get_world_size() if how == "mean" else grad


def batches(name: str) -> tuple[bool, ...]:
    return (False, True) if name in OWN else (True,)


def ways(name: str) -> tuple[str, ...]:
    return ("mean", "sum") if name in OWN else ("mean",)


def synced(rank: int, shards: list[int]) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for name, cfg in CONFIGS.items():
        for ignored in batches(name):
            pred, target = (share(x, shards, rank) for x in whole(name, shards, ignored))
            for how in ways(name):
                value, grad, logged = run(cfg.replace(sync=how), pred, target)
                out[name, ignored, how] = value, merge(grad, how), logged
    pred, target = (share(x, shards, rank) for x in whole("combine", shards, False))
    out["calls"] = []
    for cfg in (CONFIGS["combine"].replace(sync="mean"), ALL):
        loss = cfg.build()
        with Wire() as forward:
            value = loss(pred.requires_grad_(), target)
        with Wire() as backward:
            value.backward()
        out["calls"].append((forward.calls, backward.calls))
    with Wire() as wire:
        loss.losses(pred, target)
    out["losses"] = wire.calls
    out["wrong"] = wrong(*(share(x, shards, rank) for x in whole("dice", shards, False)))
    return out


class SummedTwice(torch.autograd.Function):
    """An all_reduce whose backward is one as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.clone()
        c10d.all_reduce(out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        out = grads[0].clone()
        c10d.all_reduce(out)
        return out


def wrong(pred: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """The two schemes that are not the loss of the whole batch, merged as DDP would."""
    cfg = CONFIGS["dice"]
    value, grad, _ = run(cfg, pred, target)
    out = {"mean of losses": (merge(value, "mean"), merge(grad, "mean"))}
    loss = cfg.build()
    scale = scales()
    sums = loss.sums(View(pred * scale, target))
    merged: Tensor = SummedTwice.apply(torch.cat([x.flatten() for x in sums.values()]))
    parts = merged.split([x.numel() for x in sums.values()])
    value = loss.value({name: part.view_as(x) for (name, x), part in zip(sums.items(), parts, strict=True)})
    (grad,) = torch.autograd.grad(value, scale)
    return out | {"summed twice": (value.detach(), merge(grad, "sum"))}


@pytest.fixture(scope="module", params=SHARDS, ids=str)
def ranks(request: Any) -> tuple[list[int], list[dict[Any, Any]]]:
    return request.param, run_ranks(synced, len(request.param), request.param)


def is_whole(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> bool:
    return all(torch.allclose(one, two, rtol=1e-6, atol=1e-12) for one, two in zip(found, expected, strict=True))


def test_value_and_merged_gradient_are_those_of_one_process(ranks: Any) -> None:
    shards, found = ranks
    for name, cfg in CONFIGS.items():
        for ignored in batches(name):
            value, grad, _ = run(cfg, *whole(name, shards, ignored))
            for rank, out in enumerate(found):
                for how in ways(name):
                    assert is_whole(out[name, ignored, how][:2], (value, grad)), (name, ignored, how)
                    seen = value.item() if shards[rank] and not (ignored and rank == 1) else math.nan
                    assert out[name, ignored, how][2] == pytest.approx(seen, rel=1e-6, nan_ok=True)


def test_one_collective_forward_and_none_backward(ranks: Any) -> None:
    assert len(TERMS) > 20
    for out in ranks[1]:
        for forward, backward in out["calls"]:
            assert len(forward) == 1
            assert "allreduce" in forward[0]
            assert backward == []
        assert len(out["losses"]) == 1


def test_the_two_wrong_schemes_are_caught(ranks: Any) -> None:
    shards, found = ranks
    value, grad, _ = run(CONFIGS["dice"], *whole("dice", shards, False))
    for out in found:
        mean, twice = out["wrong"]["mean of losses"], out["wrong"]["summed twice"]
        assert not is_whole(mean, (value, grad))
        assert not torch.allclose(mean[0], value, rtol=1e-3)
        assert torch.allclose(twice[0], value, rtol=1e-6)
        assert not torch.allclose(twice[1], grad, rtol=1e-3)
        assert torch.allclose(twice[1], len(shards) * grad, rtol=1e-6)


def test_one_process_needs_no_group() -> None:
    pred, target = whole("combine", [2, 2], False)
    for how in ("mean", "sum"):
        plain, other = CONFIGS["combine"], CONFIGS["combine"].replace(sync=how)
        assert torch.equal(run(plain, pred, target)[0], run(other, pred, target)[0])
        assert torch.equal(run(plain, pred, target)[1], run(other, pred, target)[1])
