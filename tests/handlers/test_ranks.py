"""Two gloo ranks with unequal counts make the update of one process with all data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dltools.errors import ConfigError
from dltools.handlers import AccumulateCfg, AmpCfg, ClipNormCfg, EmaCfg, StepHandlerCfg
from dltools.meters import collect
from tests.distributed.spawn import run_ranks
from tests.handlers.models import batch, mlp
from tests.hostreads import count_host_reads

SIZES = [[3, 1, 2], [1, 4, 0]]
"""Items of each micro-batch of each rank."""
CASES: dict[str, dict[str, Any]] = {
    "full": {"window": 3},
    "partial": {"window": 4},
    "tensors": {"window": 3, "tensor": True},
    "sums": {"window": 3, "loss": "sum"},
    "no forward": {"window": 3, "forward": False},
    "no forward, partial": {"window": 4, "forward": False},
    "two forwards at once": {"window": 3, "late": True},
    "no counts": {"window": 3, "counts": False},
    "no counts, partial": {"window": 4, "counts": False},
    "static": {"window": 3, "static": True},
    "static, partial": {"window": 4, "static": True},
    "fp16 scale": {"window": 3, "amp": AmpCfg(dtype="fp16", init_scale=64.0)},
}


def pieces() -> list[list[tuple[Tensor, Tensor]]]:
    x, y = batch(sum(map(sum, SIZES)))
    flat = [n for sizes in SIZES for n in sizes]
    parts = list(zip(torch.split(x, flat), torch.split(y, flat), strict=True))
    return [parts[:3], parts[3:]]


def errors(net: nn.Module, part: tuple[Tensor, Tensor]) -> Tensor:
    result: Tensor = (net(part[0]) - part[1]).square()
    return result


def one_case(
    rank: int,
    window: int,
    loss: Any = "mean",
    tensor: bool = False,
    forward: bool = True,
    late: bool = False,
    counts: bool = True,
    static: bool = False,
    amp: AmpCfg | None = None,
) -> tuple[list[Tensor], float, bool]:
    net = mlp()
    model = DistributedDataParallel(net, static_graph=static)
    cfg = StepHandlerCfg(amp=amp, accumulate=AccumulateCfg(window=window, loss=loss), clip=ClipNormCfg(max_norm=5.0))
    step = cfg.build(model, torch.optim.SGD(net.parameters(), lr=0.1))
    own = pieces()[rank]
    if not counts:
        own = [part for part in own if len(part[0])] + [own[0]] * sum(not len(part[0]) for part in own)
    info: Any = None
    waiting: list[Any] = []
    for k, part in enumerate(own):
        if forward and amp is None:
            with step.forward():
                value = errors(model, part)
        else:
            value = errors(model, part)
        n = torch.tensor(len(part[0])) if tensor else len(part[0])
        waiting.append((value.mean() if loss == "mean" else value.sum(), n if counts else None))
        if not late or k == len(own) - 1:
            for value, n in waiting:
                info = step(value, n)
            waiting = []
    flushed = step.flush()
    info = flushed or info
    return [p.detach() for p in net.parameters()], info.grad_norm.item(), flushed is not None


def all_cases(rank: int) -> dict[str, Any]:
    out: dict[str, Any] = {name: one_case(rank, **case) for name, case in CASES.items()}
    out["uneven flush"] = uneven_flush(rank)
    out["apply"] = applied(rank)
    out["reads"] = reads(rank)
    out["sparse use"] = used_on_one_rank(rank)
    out["contexts"] = contexts(rank)
    out["sharded"] = sharded(rank)
    out["skip"] = skipped_on_one_rank(rank)
    return out


def number(start: float = 0.0) -> tuple[nn.Linear, DistributedDataParallel]:
    net = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(net.weight, start)
    return net, DistributedDataParallel(net)


def uneven_flush(rank: int) -> tuple[float, bool, bool]:
    """Rank 0 has a micro-batch left, rank 1 has none."""
    net, model = number()
    cfg = StepHandlerCfg(accumulate=AccumulateCfg(window=2))
    step = cfg.build(model, torch.optim.SGD(net.parameters(), lr=1.0))
    if rank == 0:
        with step.forward():
            loss = model(torch.full((3, 1), 6.0, dtype=torch.float64)).mean()
        step(loss, count=3)
    first = step.flush() is not None
    return net.weight.item(), first, step.flush() is None


def applied(rank: int) -> float:
    net, model = number()
    step = StepHandlerCfg().build(model, torch.optim.SGD(net.parameters(), lr=1.0))
    net.weight.grad = torch.full_like(net.weight, [2.0, 10.0][rank])
    step.apply(count=[3, 1][rank])
    net.weight.grad = torch.full_like(net.weight, [2.0, 10.0][rank])
    step.apply()
    return net.weight.item()


def reads(rank: int) -> int:
    net = mlp(torch.float32)
    model = DistributedDataParallel(net)
    cfg = StepHandlerCfg(amp=AmpCfg(), clip=ClipNormCfg(max_norm=1.0), average=EmaCfg())
    step = cfg.build(model, torch.optim.AdamW(net.parameters(), fused=True))
    x, y = batch(4, torch.float32)
    for _ in range(2):
        with step.forward():
            loss = (model(x) - y).square().mean()
        with count_host_reads() as found:
            step(loss, count=4)
    return found.count


def used_on_one_rank(rank: int) -> list[float]:
    """A parameter that only rank 1 uses, in a flushed window; one that nobody uses is not decayed."""
    net = nn.ParameterList([nn.Parameter(torch.ones(1)) for _ in range(3)])

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.params = net

        def forward(self, used: int) -> Tensor:
            return self.params[0].sum() + (self.params[used].sum() if used else 0)

    model = DistributedDataParallel(Model(), find_unused_parameters=True)
    cfg = StepHandlerCfg(accumulate=AccumulateCfg(window=2))
    step = cfg.build(model, torch.optim.SGD(net.parameters(), lr=1.0, weight_decay=0.5))
    with step.forward():
        loss = model(rank)
    step(loss)
    step.flush()
    return [param.item() for param in net]


def contexts(rank: int) -> list[tuple[bool, bool]]:
    """Whether autocast is on and gradients travel, in and after the two forward passes of a window."""
    _, model = number()
    cfg = StepHandlerCfg(amp=AmpCfg(), accumulate=AccumulateCfg(window=2))
    step = cfg.build(model, torch.optim.SGD(model.parameters(), lr=1.0))
    seen = []
    for _ in range(2):
        with step.forward():
            seen.append((torch.is_autocast_enabled("cpu"), model.require_backward_grad_sync))
            loss = model(torch.ones(1, 1, dtype=torch.float64)).sum()
        seen.append((torch.is_autocast_enabled("cpu"), model.require_backward_grad_sync))
        step(loss)
    return seen


def sharded(rank: int) -> list[Any]:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    net = mlp()
    model: Any = fully_shard(net, mesh=init_device_mesh("cpu", (2,)))
    cfg = StepHandlerCfg(accumulate=AccumulateCfg(window=3), clip=ClipNormCfg(max_norm=5.0))
    step = cfg.build(model, torch.optim.SGD(net.parameters(), lr=0.1, foreach=True))
    info: Any = None
    own = [part if len(part[0]) else pieces()[rank][0] for part in pieces()[rank]]
    for part in own:
        with step.forward():
            loss = errors(model, part).mean()
        info = step(loss, count=len(part[0]))
    whole: list[Any] = list(net.parameters())
    return [info.grad_norm.item(), *(p.full_tensor().detach() for p in whole)]


def skipped_on_one_rank(rank: int) -> tuple[float, dict[str, float]]:
    net, model = number(1.0)
    step = StepHandlerCfg().build(model, torch.optim.SGD(net.parameters(), lr=1.0))
    for factor in (1.0, float("nan") if rank else 1.0):
        with step.forward():
            loss = model(torch.ones(1, 1, dtype=torch.float64)).sum() * factor
        step(loss)
    return net.weight.item(), dict(collect({"step": step}))


@pytest.fixture(scope="module")
def two() -> list[dict[str, Any]]:
    return run_ranks(all_cases, 2)


def expected(counts: bool) -> tuple[list[Tensor], float]:
    net = mlp()
    parts = [part for own in pieces() for part in own]
    if counts:
        whole = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        errors(net, whole).mean().backward()
    else:
        parts = [part if len(part[0]) else pieces()[1][0] for part in parts]
        torch.stack([errors(net, part).mean() for part in parts]).mean().backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    norm = torch.cat([g.reshape(-1) for g in grads]).norm().item()
    factor = 0.1 * min(1.0, 5.0 / norm)
    return [p.detach() - factor * g for p, g in zip(net.parameters(), grads, strict=True)], norm


@pytest.mark.parametrize("name", CASES)
def test_ranks_equal_one_process(two: list[dict[str, Any]], name: str) -> None:
    weights, norm = expected(CASES[name].get("counts", True))
    for out in two:
        found, found_norm, flushed = out[name]
        assert flushed == ("partial" in name)
        assert found_norm == pytest.approx(norm, rel=1e-12)
        for a, b in zip(found, weights, strict=True):
            assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


def test_a_rank_without_an_open_window_takes_part_in_the_flush(two: list[dict[str, Any]]) -> None:
    assert [out["uneven flush"] for out in two] == [(-6.0, True, True)] * 2


def test_caller_made_gradients_are_averaged_by_count(two: list[dict[str, Any]]) -> None:
    assert [out["apply"] for out in two] == [-(2 * 3 + 10) / 4 - 6.0] * 2


def test_no_host_read_under_ddp(two: list[dict[str, Any]]) -> None:
    assert [out["reads"] for out in two] == [0, 0]


def test_gradients_travel_in_the_last_forward_pass_of_a_window_only(two: list[dict[str, Any]]) -> None:
    assert [out["contexts"] for out in two] == [[(True, False), (False, True), (True, True), (False, True)]] * 2


def test_a_flush_gives_a_parameter_a_gradient_only_if_some_rank_used_it(two: list[dict[str, Any]]) -> None:
    assert [out["sparse use"] for out in two] == [[-0.5, 0.0, 1.0]] * 2


def test_all_ranks_skip_together_and_shares_are_not_counted_twice(two: list[dict[str, Any]]) -> None:
    for weight, report in (out["skip"] for out in two):
        assert weight == 0.0
        assert report["step/skipped"] == 0.5
        assert report["step/grad_norm"] == 1.0


def test_fsdp2_equals_one_process(two: list[dict[str, Any]]) -> None:
    net = mlp()
    parts = [part if len(part[0]) else pieces()[1][0] for own in pieces() for part in own]
    whole = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    errors(net, whole).mean().backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    norm = torch.cat([g.reshape(-1) for g in grads]).norm().item()
    for found_norm, *found in (out["sharded"] for out in two):
        assert found_norm == pytest.approx(norm, rel=1e-12)
        for a, p, g in zip(found, net.parameters(), grads, strict=True):
            assert torch.allclose(a, p - 0.1 * min(1.0, 5.0 / norm) * g, rtol=1e-12, atol=1e-12)


def test_without_a_wrapper_ranks_are_left_alone() -> None:
    net = mlp()
    step = StepHandlerCfg().build(net, torch.optim.SGD(net.parameters()))
    assert step.parallel.world == 1
    with pytest.raises(ConfigError):
        step(errors(net, batch(2)).mean(), count=-1)
