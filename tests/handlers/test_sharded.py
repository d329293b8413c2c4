"""Under FSDP2 on two gloo ranks a step is that of one process: every clip, counts, skips, open windows."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dltools.cfgutils import build
from dltools.checkpoints import StoreCfg
from dltools.errors import ConfigError
from dltools.handlers import (
    AccumulateCfg,
    AdaGCCfg,
    AGCCfg,
    ClipNormCfg,
    ClipValueCfg,
    EmaCfg,
    Gradients,
    SkipNonFiniteCfg,
    SkipSpikeCfg,
    StepHandler,
    StepHandlerCfg,
    ZClipCfg,
)
from dltools.optim import AdamWCfg, SGDCfg
from tests.distributed.spawn import run_ranks
from tests.handlers.models import batch, bits, mlp, same

CLIPS: dict[str, Any] = {
    "none": None,
    "norm": ClipNormCfg(max_norm=0.5),
    "norm 1": ClipNormCfg(max_norm=0.5, norm_type=1.0),
    "largest": ClipNormCfg(max_norm=0.1, norm_type=math.inf),
    "value": ClipValueCfg(max_value=0.1),
    "AGC": AGCCfg(ratio=0.05),
    "ZClip": ZClipCfg(warmup_steps=1, z=0.5),
    "AdaGC": AdaGCCfg(warmup_steps=1, abs=0.5),
}
"""The last layer has one row: the second rank holds nothing of its weight."""
COUNTS = [[3, 1, 2], [1, 4, 0]]


def shard(net: nn.Sequential) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (2,))
    for layer in (net[0], net[2]):
        fully_shard(layer, mesh=mesh)
    model: Any = fully_shard(net, mesh=mesh)
    return model


def weights(net: nn.Module) -> list[Tensor]:
    params: list[Any] = list(net.parameters())
    return [(p.full_tensor() if hasattr(p, "full_tensor") else p).detach() for p in params]


def run(rank: int | None, clip: Any, optim: Any) -> tuple[list[Tensor], list[float]]:
    """Three updates of two micro-batches; a rank has half of each."""
    net = mlp()
    if rank is not None:
        shard(net)
    cfg = StepHandlerCfg(clip=clip, accumulate=AccumulateCfg(window=2), skip=(SkipNonFiniteCfg(), SkipSpikeCfg()))
    step, told = build(cfg, net, build(optim, net)), []
    for k in range(6):
        x, y = (part if rank is None else part.tensor_split(2)[rank] for part in batch(8, seed=k))
        with step.forward():
            loss = (net(x * (1 + k)) - y).square().mean()
        info = step(loss, count=len(x))
        told += [x.item() for x in info[2:] if isinstance(x, Tensor)]
    return weights(net), told


def unequal(rank: int, as_tensor: bool) -> list[Tensor]:
    """The last micro-batch of rank 1 is empty, and its loss NaN."""
    net = mlp()
    step = build(StepHandlerCfg(accumulate=AccumulateCfg(window=3)), shard(net), build(SGDCfg(lr=0.1), net))
    x, y = (part.split([n for counts in COUNTS for n in counts]) for part in batch(11))
    for k, n in enumerate(COUNTS[rank]):
        with step.forward():
            loss = (net(x[3 * rank + k]) - y[3 * rank + k]).square().mean()
        step(loss, count=torch.tensor(n) if as_tensor else n)
    return weights(net)


def poisoned(rank: int, clip: Any) -> tuple[bool, float]:
    """A NaN on one rank; whether any bit has changed, and the flag."""
    net = mlp(torch.float32)
    optimizer = build(AdamWCfg(), shard(net))
    step = build(StepHandlerCfg(clip=clip), net, optimizer)
    for factor in (1.0, float("nan") if rank else 1.0):
        before = [x.to_local() if hasattr(x, "to_local") else x for x in bits(optimizer)]
        with step.forward():
            loss = net(batch(4, torch.float32)[0]).sum() * factor
        info = step(loss)
    after = [x.to_local() if hasattr(x, "to_local") else x for x in bits(optimizer)]
    assert info.skipped is not None
    return same(before, after), info.skipped.item()


def begin(shards: bool) -> tuple[nn.Module, torch.optim.Optimizer, StepHandler]:
    net = mlp()
    optimizer = build(SGDCfg(lr=0.1), shard(net) if shards else net)
    return net, optimizer, build(StepHandlerCfg(accumulate=AccumulateCfg(window=3)), net, optimizer)


def feed(step: StepHandler, net: nn.Module, rank: int, ks: range, counts: bool) -> None:
    for k in ks:
        x, y = batch(2 + rank + k, seed=10 * rank + k)
        with step.forward():
            loss = (net(x) - y).square().mean()
        step(loss, len(x) if counts else None)


def resumed(rank: int, folder: str, counts: bool) -> dict[str, Any]:
    """Two of three micro-batches, a checkpoint that rank 0 writes, the third."""
    net, _, step = begin(shards=True)
    feed(step, net, rank, range(2), counts)
    store = build(StoreCfg(root=f"{folder}/{counts}"))
    store.save({"step": step}, step=2)
    again, _, other = begin(shards=True)
    store.load("newest", into={"step": other})
    grads: list[Any] = [p.grad for p in again.parameters()]
    is_sharded = all(grad.placements == p.placements for grad, p in zip(grads, again.parameters(), strict=True))  # type: ignore[attr-defined]
    state = other.state_dict()
    for one, model in ((step, net), (other, again)):
        feed(one, model, rank, range(2, 3), counts)
    return {"whole": weights(net), "again": weights(again), "state": state, "is_sharded": is_sharded}


def waiting(rank: int) -> list[float]:
    """A gradient whose parts still have to be added, as tensor parallelism may leave it."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Replicate

    mesh = init_device_mesh("cpu", (2,))
    param: Any = nn.Parameter(DTensor.from_local(torch.zeros(2), mesh, [Replicate()]))
    param.grad = DTensor.from_local(torch.tensor([3.0, 1.0]) * (rank + 1), mesh, [Partial()])
    gradients = Gradients([param], divisor=3.0)
    gradients.settle()
    return [*param.grad.full_tensor().tolist(), gradients.norm().item()]


def mistakes(rank: int) -> list[str]:
    net = shard(mlp())
    step = build(StepHandlerCfg(), net, build(SGDCfg(), net))
    said = []
    for wrong in (
        lambda: build(EmaCfg(), net),
        lambda: build(SGDCfg(impl="fused"), net),
        lambda: step.apply(count=3),
    ):
        with pytest.raises(ConfigError) as error:
            wrong()
        said.append(str(error.value))
    return said


def all_cases(rank: int, folder: str) -> dict[str, Any]:
    out: dict[str, Any] = {name: run(rank, clip, AdamWCfg(lr=0.1)) for name, clip in CLIPS.items()}
    out["SGD"] = run(rank, CLIPS["norm"], SGDCfg(lr=0.1, momentum=0.9))
    out |= {f"counts {tensor}": unequal(rank, tensor) for tensor in (False, True)}
    out |= {f"NaN {name}": poisoned(rank, CLIPS[name]) for name in ("norm", "largest", "AGC")}
    out |= {f"resume {counts}": resumed(rank, folder, counts) for counts in (False, True)}
    out["waiting"], out["mistakes"] = waiting(rank), mistakes(rank)
    return out


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_ranks(all_cases, 2, str(tmp_path_factory.mktemp("store")))


def close(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", [*CLIPS, "SGD"])
def test_a_step_is_that_of_one_process(two: list[dict[str, Any]], name: str) -> None:
    is_sgd = name == "SGD"
    optim: Any = SGDCfg(lr=0.1, momentum=0.9) if is_sgd else AdamWCfg(lr=0.1)
    expected, told = run(None, CLIPS["norm" if is_sgd else name], optim)
    for found, also in (out[name] for out in two):
        assert close(found, expected)
        assert also == pytest.approx(told, rel=1e-6)


@pytest.mark.parametrize("tensor", [False, True])
def test_unequal_counts_and_one_of_0_whose_loss_is_nan(two: list[dict[str, Any]], tensor: bool) -> None:
    net = mlp()
    x, y = batch(11)
    (net(x) - y).square().mean().backward()
    expected = [p.detach() - 0.1 * p.grad for p in net.parameters() if p.grad is not None]
    for out in two:
        assert close(out[f"counts {tensor}"], expected)


@pytest.mark.parametrize("name", ["norm", "largest", "AGC"])
def test_nan_on_one_rank_changes_no_bit_on_any(two: list[dict[str, Any]], name: str) -> None:
    assert [out[f"NaN {name}"] for out in two] == [(True, 1.0)] * 2


@pytest.mark.parametrize("counts", [False, True])
def test_an_open_window_goes_on_from_what_rank_0_has_written(two: list[dict[str, Any]], counts: bool) -> None:
    for out in (one[f"resume {counts}"] for one in two):
        assert out["is_sharded"]
        assert same(out["whole"], out["again"])


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("rank", [0, 1])
def test_an_open_window_of_two_ranks_goes_on_in_one_process(two: list[dict[str, Any]], rank: int, counts: bool) -> None:
    net, _, step = begin(shards=False)
    step.load_state_dict(two[rank][f"resume {counts}"]["state"])
    feed(step, net, 0, range(2, 3), counts)
    expected = mlp()
    parts = [(r, k) for r in (0, 1) for k in (0, 1)] + [(0, 2)]
    loss: Any = 0.0
    total = sum(2 + r + k for r, k in parts)
    for r, k in parts:  # without counts a micro-batch of one of two ranks has half the weight
        x, y = batch(2 + r + k, seed=10 * r + k)
        weight = (2 + r + k) / total if counts else (0.5 if k < 2 else 1.0) / 3
        loss = loss + weight * (expected(x) - y).square().mean()
    loss.backward()
    assert close(weights(net), [p.detach() - 0.1 * p.grad for p in expected.parameters() if p.grad is not None])


def test_parts_of_a_gradient_are_added_first(two: list[dict[str, Any]]) -> None:
    assert [out["waiting"] for out in two] == [[3.0, 1.0, pytest.approx(math.sqrt(10))]] * 2


def test_what_cannot_be_is_said(two: list[dict[str, Any]]) -> None:
    for average, fused, apply in (out["mistakes"] for out in two):
        assert "EmaCfg of a sharded model" in average
        assert "sharded ones for Adam and AdamW alone" in fused
        assert "a count of gradients that the ranks have averaged already" in apply
