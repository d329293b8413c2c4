"""The loop of a run: what is saved when, how it is stopped, and what it leaves as it was."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dltools.checkpoints import Run, RunCfg, Store, files
from dltools.data import Loader
from dltools.errors import CheckpointError, ConfigError
from tests.checkpoints.boxes import Box, store_in


class Count:
    """Batches 0, 1, 2 in passes, each with a draw of the global generators; knows its position."""

    def __init__(self, size: int = 3) -> None:
        self.size, self.at = size, 0

    def __iter__(self) -> Iterator[tuple[int, float]]:
        while self.at < self.size:
            self.at += 1
            yield self.at - 1, random.random() + np.random.rand() + torch.rand(()).item()
        self.at = 0

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


def run_in(root: Path, total_steps: int = 10, parts: dict[str, Any] | None = None, **fields: Any) -> Run:
    cfg = RunCfg(total_steps=total_steps, **fields)
    return cfg.build(store_in(root, keep_last=99), parts if parts is not None else {"box": Box(0)})


def saved(store: Store) -> list[int]:
    return [ref.step for ref in store.refs()]


def test_a_run_may_be_made_longer_but_not_shorter_than_it_is(tmp_path: Path) -> None:
    assert [step for step, _ in run_in(tmp_path, 2, save_steps=1).steps(Count())] == [1, 2]
    assert [step for step, _ in run_in(tmp_path, 4, save_steps=1).steps(Count())] == [3, 4]
    assert list(run_in(tmp_path, 4).steps(Count())) == []
    box = Box(7)
    with pytest.raises(
        ConfigError, match=r"total_steps is 3, and the run in .* is at step 4. Expected total_steps >= 4"
    ):
        run_in(tmp_path, 3, {"box": box})
    assert box.state_dict() == Box(7).state_dict()
    assert run_in(tmp_path, 3, resume=False).step == 0


def test_steps_are_numbered_over_passes_and_what_is_due_is_saved(tmp_path: Path) -> None:
    run = run_in(tmp_path, 8, save_steps=3)
    assert [(step, batch) for step, (batch, _) in run.steps(Count())] == list(enumerate([0, 1, 2, 0, 1, 2, 0, 1], 1))
    assert (run.step, run.resumed) == (8, None)
    assert saved(run.store) == [3, 6, 8]


@pytest.mark.parametrize(
    ("fields", "steps"), [({}, [5]), ({"save_secs": None}, []), ({"save_secs": 1e-9}, [1, 2, 3, 4, 5])]
)
def test_saving_by_time(fields: dict[str, Any], steps: list[int], tmp_path: Path) -> None:
    run = run_in(tmp_path, 5, **fields)
    assert len(list(run.steps(Count()))) == 5
    assert saved(run.store) == steps


def test_a_body_that_saves_is_not_saved_again(tmp_path: Path) -> None:
    run = run_in(tmp_path, 4, save_steps=2)
    for step, _ in run.steps(Count()):
        if step in (1, 4):
            ref = run.save({"acc": step}, tags=["mine"])
            assert ref is not None
            assert (ref.step, ref.metrics["acc"], ref.tags) == (step, step, ("mine",))
    assert saved(run.store) == [1, 2, 4]


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = [drawn for _, drawn in run_in(tmp_path / "whole", 10).steps(Count())]
    for stop in (2, 3, 7):
        box, seen = Box([]), []
        run = run_in(tmp_path / str(stop), parts={"box": box})
        for step, drawn in run.steps(Count()):
            seen.append(drawn)
            box.value = [step]
            if step == stop:
                run.save()
                break
        random.seed(5)
        box = Box()
        again = run_in(tmp_path / str(stop), parts={"box": box})
        assert (again.step, box.value) == (stop, [stop])
        assert again.resumed is not None
        assert again.resumed.step == stop
        assert seen + [drawn for _, drawn in again.steps(Count())] == whole
    assert list(run_in(tmp_path / "whole", 10).steps(Count())) == []
    assert run_in(tmp_path / "whole", 10, resume=False).step == 0


def test_a_second_loop_goes_on_after_a_break(tmp_path: Path) -> None:
    whole = [batch.tolist() for _, batch in run_in(tmp_path / "whole", 6).steps(Loader(list(range(8)), batch_size=2))]
    run, loader, seen = run_in(tmp_path, 6), Loader(list(range(8)), batch_size=2), []
    for step, batch in run.steps(loader):
        seen.append(batch.tolist())
        if step == 3:
            break
    assert seen + [batch.tolist() for _, batch in run.steps(loader)] == whole


def draw() -> list[float]:
    return [random.random(), float(np.random.rand()), torch.rand(()).item()]


def generators() -> list[Any]:
    name, keys, *rest = np.random.get_state()
    return [random.getstate(), name, keys.tolist(), rest, torch.get_rng_state().tolist()]


def test_draws_have_addresses_and_the_generators_are_put_back(tmp_path: Path) -> None:
    def draws(root: Path, seed: int) -> list[list[float]]:
        return [draw() for _ in run_in(root, 3, seed=seed).steps(Count())]

    before = generators()
    first = draws(tmp_path / "a", 1)
    assert generators() == before
    draw()
    assert draws(tmp_path / "b", 1) == first
    assert draws(tmp_path / "c", 2) != first
    assert len({tuple(one) for one in first}) == 3
    before = generators()
    with suppress(ZeroDivisionError):
        for _ in run_in(tmp_path / "d").steps(Count()):
            draw()
            _ = 1 / 0
    for _ in run_in(tmp_path / "e").steps(Count()):
        draw()
        break
    assert generators() == before


@pytest.mark.parametrize(("stop", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_waits_for_the_end_of_the_step(
    stop: signal.Signals, error: type[BaseException], tmp_path: Path
) -> None:
    handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    box = Box(0)
    run = run_in(tmp_path, parts={"box": box})

    def loop() -> None:
        for step, _ in run.steps(Count()):
            if step == 4:
                os.kill(os.getpid(), stop)
                time.sleep(0.01)
            box.value = step

    with pytest.raises(error) as caught:
        loop()
    assert getattr(caught.value, "code", 143) == 143
    assert saved(run.store) == [4]
    assert run.store.load().parts["box"]["value"] == 4
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_a_save_is_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_in(tmp_path, 5, save_steps=5)
    sync = files.sync

    def interrupted(fd: int) -> None:
        signal.raise_signal(signal.SIGINT)
        sync(fd)

    monkeypatch.setattr(files, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(run.steps(Count()))
    assert saved(run.store) == [5]


def full(fd: int, data: memoryview) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_warns_once_and_the_next_due_save_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(tmp_path, 8, save_steps=2)

    def loop() -> None:
        for step, _ in run.steps(Count()):
            if step == 1:
                monkeypatch.setattr(files, "write", full)
            if step == 6:
                monkeypatch.undo()

    with pytest.warns(UserWarning, match=r"step 2 is not saved: .*No space left") as warned:
        loop()
    assert len(warned) == 1
    assert saved(run.store) == [6, 8]


def test_errors_that_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="box.value: set"):
        list(run_in(tmp_path, 2, {"box": Box({1})}).steps(Count()))
    monkeypatch.setattr(files, "write", full)
    with pytest.raises(CheckpointError, match="No space"):
        list(run_in(tmp_path, 2, on_error="raise").steps(Count()))


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"list.*Hint: dltools.data.Loader"):
        next(run_in(tmp_path).steps([1, 2]))
    with pytest.raises(ConfigError, match="pass over the batches was empty"):
        next(run_in(tmp_path).steps(Count(0)))
    with pytest.raises(ConfigError, match="called 'batches'"):
        run_in(tmp_path, 2, {"batches": Box()})
    with pytest.raises(ConfigError, match="before run.steps"):
        run_in(tmp_path).save()
    store_in(tmp_path).save({"box": Box(1)}, step=1)
    with pytest.raises(CheckpointError, match="no part 'batches'"):
        next(run_in(tmp_path).steps(Count()))
    with pytest.raises(CheckpointError, match="no part 'bix'"):
        run_in(tmp_path, 3, {"bix": Box()})
