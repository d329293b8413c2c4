"""Several ranks: rank 0 writes, all have the same reference, all raise what one raises, and all stop at one step."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dltools.checkpoints import RunCfg, files
from dltools.data import Loader
from dltools.errors import CheckpointError
from tests.checkpoints.boxes import Box, store_in
from tests.distributed.spawn import run_ranks

X = torch.linspace(-1, 1, 24).reshape(12, 2)
WORLD = 2


def train(root: Path, stop: int, total: int = 6, *, kill: int | None = None, rank: int = 0) -> list[float]:
    """The weights after the steps up to ``stop``."""
    torch.manual_seed(rank)
    net: nn.Module = nn.Linear(2, 1)
    if torch.distributed.is_initialized():
        net = DistributedDataParallel(net)
    optimizer = torch.optim.AdamW(net.parameters(), 0.1)
    world = WORLD if torch.distributed.is_initialized() else 1
    loader = Loader(list(X), batch_size=4 // world)
    run = RunCfg(total_steps=total, save_secs=None).build(store_in(root), {"model": net, "optim": optimizer})
    for step, x in run.steps(loader):
        (net(x) - 1).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if step == kill and rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        if step == stop:
            run.save()
            break
    return [w for p in net.parameters() for w in p.flatten().tolist()]


def stop_and_go_on(rank: int, root: Path) -> dict[str, Any]:
    out: dict[str, Any] = {"first": train(root / "a", 3, rank=rank)}
    out["second"] = train(root / "a", 6, rank=rank)
    out["whole"] = train(root / "b", 6, rank=rank)
    with pytest.raises(SystemExit):
        train(root / "c", 20, 20, kill=2, rank=rank)
    out["stopped"] = [ref.step for ref in store_in(root / "c").refs()]
    return out


def all_of_it(rank: int, root: Path) -> tuple[dict[str, Any], list[Any]]:
    return stop_and_go_on(rank, root), share(rank, root / "shared")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The folder, and what each rank found: the processes start once."""
    root = tmp_path_factory.mktemp("ranks")
    return root, run_ranks(all_of_it, WORLD, root)


def test_two_ranks_train_as_one_process_and_go_on(ranks: tuple[Path, list[Any]]) -> None:
    tmp_path, ((first, _), (second, _)) = ranks
    assert first == second
    assert first["second"] == first["whole"]
    alone = train(tmp_path / "alone", 6)
    assert first["whole"] == pytest.approx(alone, abs=1e-6)
    assert first["stopped"] == [3]  # the step after the one in which a single rank heard the signal
    assert train(tmp_path / "a", 6, 6) == first["whole"]  # one process loads what two saved


def share(rank: int, root: Path) -> list[Any]:
    torch.distributed.barrier()
    store = store_in(root)
    ref = store.save({"box": Box(rank)}, step=1, metrics={"acc": 0.5})
    box = Box()
    loaded = store.load(into={"box": box})
    out = [str(ref.path), ref.metrics["acc"], box.value, loaded.step, len(list(root.iterdir()))]
    for failing, part in [(0, Box(1)), (1, Box(1)), (0, Box({1}))]:
        write, files.write = files.write, fail if rank == failing == 0 and part.value == 1 else files.write
        bad = Box(1)
        bad.state_dict = raise_error if rank == failing == 1 else part.state_dict  # type: ignore[method-assign]
        with pytest.raises((CheckpointError, RuntimeError)) as caught:
            store.save({"box": bad}, step=2)
        files.write = write
        out.append(str(caught.value).removeprefix(f"rank {failing}: "))
    with pytest.raises(CheckpointError) as missing:
        store.load("step:9")
    out.append(str(missing.value).removeprefix("rank 0: "))
    with pytest.raises(CheckpointError) as unfit:
        store.load(into={"box" if rank else "bix": Box()})
    out.append(str(unfit.value).removeprefix("rank 0: "))
    torch.distributed.barrier()
    return out


def fail(fd: int, data: memoryview) -> int:
    raise OSError(28, "No space left on device")


def raise_error() -> dict[str, Any]:
    raise RuntimeError("no state")


def test_all_ranks_have_one_reference_and_the_same_errors(ranks: tuple[Path, list[Any]]) -> None:
    _, ((_, first), (_, second)) = ranks
    assert first == second
    assert first[1:5] == [0.5, 0, 1, 1]
    assert "No space left" in first[5]
    assert first[6] == "no state"
    assert "box.value: set" in first[7]
    assert "no checkpoint 'step:9'" in first[8]
    assert "no part 'bix'" in first[9]
