"""An open window under DDP: a state serves the rank that made it to the bit, and any other to the last digits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dltools.cfgutils import build
from dltools.checkpoints import StoreCfg
from dltools.handlers import AccumulateCfg, AmpCfg, ClipNormCfg, StepHandler, StepHandlerCfg
from tests.distributed.spawn import run_ranks
from tests.handlers.models import batch, mlp, same

CFG = StepHandlerCfg(accumulate=AccumulateCfg(window=4), clip=ClipNormCfg(max_norm=0.5))


class Uneven(nn.Module):
    """A part of it is used only by inputs of more than three items."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.more = mlp(), nn.Linear(3, 1).double()
        nn.init.constant_(self.more.weight, 0.5)
        nn.init.constant_(self.more.bias, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return y + self.more(x) if len(x) > 3 else y


def begin(ranks: bool, cfg: StepHandlerCfg = CFG) -> tuple[nn.Module, nn.Module, StepHandler]:
    net = Uneven()
    model = DistributedDataParallel(net, find_unused_parameters=True) if ranks else net
    return net, model, build(cfg, model, torch.optim.SGD(net.parameters(), lr=0.1))


def feed(step: StepHandler, model: nn.Module, rank: int, ks: range, kind: str) -> None:
    for k in ks:
        x, y = batch(2 + 2 * rank + k, seed=10 * rank + k)
        if kind == "late":  # the loop does without forward(): gradients travel every time
            loss = (model(x) - y).square().mean()
        else:
            with step.forward():
                loss = (model(x) - y).square().mean()
        step(loss, None if kind == "none" else torch.tensor(len(x)) if kind == "tensor" else len(x))


def cut(rank: int, kind: str, folder: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    whole = begin(True)
    feed(whole[2], whole[1], rank, range(4), kind)
    out["whole"] = [p.detach() for p in whole[0].parameters()]
    _, model, first = begin(True)
    feed(first, model, rank, range(2), kind)
    out["state"] = first.state_dict()
    store = build(StoreCfg(root=f"{folder}/{kind}"))
    store.save({"step": first}, step=2)
    for name in ("own", "written"):
        net, model, step = begin(True)
        if name == "own":
            step.load_state_dict(out["state"])
        else:
            store.load("newest", into={"step": step})
        feed(step, model, rank, range(2, 4), kind)
        out[name] = [p.detach() for p in net.parameters()]
    return out


def nothing_on_one_rank(rank: int) -> float:
    """The first window of fp16 is flushed, and rank 1 has no micro-batch at all."""
    net = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(net.weight, 0.0)
    cfg = StepHandlerCfg(amp=AmpCfg(dtype="fp16", init_scale=8.0), accumulate=AccumulateCfg(window=2))
    model = DistributedDataParallel(net)
    step = build(cfg, model, torch.optim.SGD(net.parameters(), lr=1.0))
    if rank == 0:
        with step.forward():
            loss = model(torch.full((3, 1), 6.0, dtype=torch.float64)).mean()
        step(loss, count=3)
    step.flush()
    return net.weight.item()


def complex_leftovers(rank: int) -> list[complex]:
    param = nn.Parameter(torch.zeros(2, dtype=torch.complex128))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.param = param

        def forward(self, by: complex) -> Tensor:
            return (self.param * by).real.sum()

    model = DistributedDataParallel(Model())
    step = build(StepHandlerCfg(accumulate=AccumulateCfg(window=2)), model, torch.optim.SGD([param], lr=1.0))
    with step.forward():
        loss = model([1 + 2j, 3 - 4j][rank])
    step(loss)
    step.flush()
    values: list[complex] = param.tolist()
    return values


KINDS = ("int", "tensor", "none", "late")


def all_cases(rank: int, folder: str) -> dict[str, Any]:
    out: dict[str, Any] = {kind: cut(rank, kind, folder) for kind in KINDS}
    out["nothing"], out["complex"] = nothing_on_one_rank(rank), complex_leftovers(rank)
    return out


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_ranks(all_cases, 2, str(tmp_path_factory.mktemp("store")))


def close(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_each_rank_goes_on_from_its_own_state_to_the_bit(two: list[dict[str, Any]], kind: str) -> None:
    for out in (one[kind] for one in two):
        assert same(out["own"], out["whole"])


@pytest.mark.parametrize("kind", KINDS)
def test_all_go_on_from_what_rank_0_has_written(two: list[dict[str, Any]], kind: str) -> None:
    for out in (one[kind] for one in two):
        assert close(out["written"], out["whole"])
    assert same(two[0][kind]["written"], two[1][kind]["written"])


@pytest.mark.parametrize("kind", ["int", "tensor", "late"])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_window_of_two_ranks_goes_on_in_one_process(two: list[dict[str, Any]], rank: int, kind: str) -> None:
    net, model, step = begin(False)
    step.load_state_dict(two[rank][kind]["state"])
    feed(step, model, 0, range(2, 4), "int")
    expected, plain, other = begin(False, CFG.replace(accumulate=AccumulateCfg(window=6)))
    for r, k in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3)):
        feed(other, plain, r, range(k, k + 1), "int")
    assert close([p.detach() for p in net.parameters()], [p.detach() for p in expected.parameters()])


def test_a_rank_without_any_micro_batch_takes_part_in_the_first_flush(two: list[dict[str, Any]]) -> None:
    assert [out["nothing"] for out in two] == [-6.0, -6.0]


def test_leftovers_of_complex_numbers_are_averaged(two: list[dict[str, Any]]) -> None:
    assert [out["complex"] for out in two] == [[-2 - 1j] * 2] * 2
