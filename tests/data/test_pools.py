"""Errors and deaths of workers: told at their place, and the loader goes on from there."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import warnings
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from dltools.data import Loader, SequentialSamplerCfg
from dltools.data.pools import Pool
from dltools.errors import ConfigError, DltoolsError, ShapeError
from tests.data.sources import OddError, Trap

KINDS: list[tuple[int, Any]] = [(0, "process"), (2, "process"), (2, "thread")]


def loader_of(source: Any, workers: int = 2, pool: Any = "process", **fields: Any) -> Loader:
    return Loader(source, batch_size=2, sampler=SequentialSamplerCfg(), workers=workers, pool=pool, **fields)


def read(loader: Loader, into: list[Any]) -> None:
    """What came before an error is there too."""
    into.extend(batch.tolist() for batch in loader)


@pytest.mark.parametrize(("workers", "pool"), KINDS)
@pytest.mark.parametrize(("kind", "words"), [(KeyError, ["lost"]), (ShapeError, ["a sample", "another", "none"])])
def test_an_error_keeps_its_class_and_says_where_it_was(
    kind: type[Exception], words: list[str], workers: int, pool: Any, tmp_path: Path
) -> None:
    error = kind(*words)
    loader = loader_of(Trap(10, 5, tmp_path / "seen", error), workers, pool)
    found: list[Any] = []
    with pytest.raises(kind) as caught:
        read(loader, found)
    assert str(caught.value) == str(error)
    assert caught.value.__notes__ == ["while making sample id 5 of epoch 0, position 5"]
    assert found == [[0, 1], [2, 3]]
    assert loader.state_dict() == {"seed": 0, "epoch": 0, "consumed": 4}
    read(loader, found)
    assert found == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    loader.close()


def test_an_error_that_cannot_be_pickled_is_told_all_the_same(tmp_path: Path) -> None:
    loader = loader_of(Trap(4, 1, tmp_path / "seen", OddError("this", "that")))
    with pytest.raises(DltoolsError, match="OddError: this and that\nwhile making sample id 1"):
        list(loader)
    assert len(list(loader)) == 2
    loader.close()


def test_a_killed_worker_is_an_error_and_the_next_pass_goes_on(tmp_path: Path) -> None:
    loader = loader_of(Trap(12, 5, tmp_path / "seen", signal.SIGKILL))
    found: list[Any] = []
    with pytest.raises(DltoolsError, match="worker died"):
        read(loader, found)
    assert loader.state_dict()["consumed"] == 2 * len(found) <= 4
    read(loader, found)
    assert found == [[i, i + 1] for i in range(0, 12, 2)]
    loader.close()
    assert multiprocessing.active_children() == []


def worker_pid(job: int) -> int:
    return os.getpid()


@pytest.fixture
def deaf() -> Iterator[None]:
    """SIGTERM is only noted, as in a run's steps."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, before)


def test_what_was_made_before_a_death_is_handed_out(deaf: None) -> None:
    pool = Pool(worker_pid, workers=1, kind="process", prefetch=3)
    results = pool.map(range(9))
    _, pid = next(results)
    wait([future for _, future in pool._ahead])
    os.kill(pid, signal.SIGTERM)
    assert [next(results) for _ in range(3)] == [(1, pid), (2, pid), (3, pid)]
    with pytest.raises(DltoolsError, match="worker died"):
        list(results)
    later = dict(pool.map(range(3)))
    assert set(later) == {0, 1, 2}
    assert pid not in later.values()
    pool.close()


def test_workers_end_with_a_parent_that_is_killed() -> None:
    reader, writer = os.pipe()  # its end is read when the last process that can write is gone
    context = multiprocessing.get_context("fork")
    ready = context.Event()

    def parent() -> None:
        pool = Pool(worker_pid, workers=2, kind="process", prefetch=1)
        list(pool.map(range(4)))
        ready.set()
        signal.pause()

    process = context.Process(target=parent)
    process.start()
    os.close(writer)
    assert ready.wait(60)
    process.kill()
    process.join()
    assert select.select([reader], [], [], 60)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_warning_of_forks_in_threaded_processes_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def warning_fork() -> int:
        text = f"This process (pid={os.getpid()}) is multi-threaded, use of fork() may lead to deadlocks in the child."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return fork()

    monkeypatch.setattr(os, "fork", warning_fork)
    pool = Pool(worker_pid, workers=1, kind="process", prefetch=1)
    assert len(list(pool.map(range(3)))) == 3
    pool.close()


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_a_pass_left_early_wastes_no_later_one(kind: Any) -> None:
    pool = Pool(abs, workers=2, kind=kind, prefetch=2)
    for _ in range(3):
        results = pool.map(range(-100, 0))
        assert next(results) == (-100, 100)
    assert list(pool.map([-1, -2])) == [(-1, 1), (-2, 2)]
    pool.close()
    assert list(pool.map([-3])) == [(-3, 3)]
    pool.close()


def refused() -> None:
    with pytest.raises(ConfigError, match="daemonic"):
        list(Pool(abs, workers=1, kind="process", prefetch=1).map([1]))


def test_a_daemonic_process_is_told_that_it_cannot_have_workers() -> None:
    process = multiprocessing.get_context("fork").Process(target=refused, daemon=True)
    process.start()
    process.join(60)
    assert process.exitcode == 0
