"""A save in which any call to the file system fails, or the process dies: no checkpoint fewer, no debris."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dltools.checkpoints import Store, files
from dltools.errors import CheckpointError
from tests.checkpoints.boxes import Box, store_in

CHANGING = ("create", "write", "sync", "mkdir", "rename", "unlink", "rmdir", "open_folder", "lock", "free_bytes")
ROOT = Path(__file__).parents[2]


class Faulty:
    """Makes the ``at``-th call to the file system fail, and counts the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, error: int, names: tuple[str, ...] = CHANGING) -> None:
        self.at, self.error, self.count = at, error, 0
        self.failed = ""
        for name in names:
            monkeypatch.setattr(files, name, self.wrapped(name, getattr(files, name)))

    def wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def faulty(*args: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                self.failed = name
                if name == "write":
                    call(args[0], args[1][: len(args[1]) // 2])
                raise OSError(self.error, os.strerror(self.error))
            return call(*args)

        return faulty


def save(store: Store, step: int) -> None:
    store.save({"box": Box([step, torch.full((100,), float(step))])}, step=step)


def error_of_save(store: Store, step: int) -> str:
    try:
        save(store, step)
    except CheckpointError as error:
        return str(error)
    return ""


def values(root: Path) -> list[int]:
    """The steps in a store, each of which loads; and nothing else is there after a look at it."""
    store = store_in(root)
    found = [store.load(ref).parts["box"]["value"][0] for ref in store.refs()]
    assert [ref.step for ref in store.refs()] == found
    assert sorted(path.name for path in root.iterdir()) == sorted(ref.path.name for ref in store.refs())
    return found


def places() -> Iterator[tuple[int, int]]:
    errors = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EFBIG]
    return ((at, errors[at % len(errors)]) for at in range(1, 200))


def test_any_failing_call_is_a_checkpoint_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path, keep_last=2)
    for step in (1, 2):
        save(store, step)
    step, failed = 3, set()
    for at, error in places():
        before = values(tmp_path)
        with monkeypatch.context() as patch:
            faulty = Faulty(patch, at, error)
            message = error_of_save(store, step)
        if not faulty.failed:
            break
        assert os.strerror(error) in message
        assert "bytes are needed" in message
        assert str(tmp_path) in message
        failed.add(faulty.failed)
        after = values(tmp_path)
        assert after == before or (after[-1] == step and len(after) > 1 and after[:-1] == before[1 - len(after) :])
        step += step in after
    assert message == ""
    assert failed == set(CHANGING)
    assert values(tmp_path)[-1] == step


def test_a_failing_remover_leaves_the_rest_to_the_next_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store_in(tmp_path), 1)
    for at in range(4, 12):
        with monkeypatch.context() as patch:
            first = Faulty(patch, at, errno.EIO, ("create", "write", "sync"))
            Faulty(patch, 1, errno.EIO, ("unlink",))
            with pytest.raises(CheckpointError, match="Input/output error"):
                save(store_in(tmp_path), 2)
            assert first.failed
        assert values(tmp_path) == [1]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write", lambda fd, data: os.write(fd, data[: 1 + len(data) // 3]))
    save(store_in(tmp_path), 1)
    assert values(tmp_path) == [1]


def test_what_a_live_process_writes_is_no_debris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = files.sync

    def look(fd: int) -> None:
        store_in(tmp_path)  # a second store cleans while the first one writes
        sync(fd)

    monkeypatch.setattr(files, "sync", look)
    save(store_in(tmp_path), 1)
    monkeypatch.undo()
    assert values(tmp_path) == [1]


KILLS = """
import os, signal, sys
from pathlib import Path
import torch
from dltools.checkpoints import files
from tests.checkpoints.boxes import store_in
from tests.checkpoints.test_faults import save

torch.set_num_threads(1)
root = Path(sys.argv[1])


def child(step, total, share):
    if os.fork() == 0:
        done, write = 0, files.write
        def counted(fd, data):
            nonlocal done
            left = int(total * share) - done
            if len(data) >= left:
                write(fd, data[:left])
                os.kill(os.getpid(), signal.SIGKILL)
            done += len(data)
            return write(fd, data)
        files.write = counted
        save(store_in(root, keep_last=2), step)
        os._exit(1)
    assert os.wait()[1] == signal.SIGKILL


def calls(step, at):
    if os.fork() == 0:
        count = 0
        def counted(call):
            def killed(*args):
                nonlocal count
                out = call(*args)
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return out
            return killed
        for name in ("create", "write", "sync", "mkdir", "rename", "unlink", "rmdir"):
            setattr(files, name, counted(getattr(files, name)))
        save(store_in(root, keep_last=2), step)
        os._exit(1)
    return os.wait()[1] == signal.SIGKILL


def steps():
    store = store_in(root)
    return [store.load(ref).step for ref in store.refs()]


save(store_in(root), 1)
save(store_in(root), 2)
total = sum(path.stat().st_size for path in store_in(root).refs()[-1].path.iterdir())
for i in range(50):
    child(3, total, 0.05 + 0.9 * i / 49)
    print("bytes", *steps(), len(os.listdir(root)))
at, step = 1, 3
while calls(step, at):
    found = steps()
    print("call", step, *found, len(os.listdir(root)))
    at, step = at + 1, max(found) + 1
"""


def test_a_killed_save_costs_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    shares = [line[1:] for line in lines if line[0] == "bytes"]
    assert shares == [["1", "2", "2"]] * 50
    calls = [list(map(int, line[1:])) for line in lines if line[0] == "call"]
    assert len(calls) > 20
    for step, *found, num_entries in calls:
        assert found[-1] in (step, step - 1)
        assert len(found) == num_entries
        assert len(found) >= 2
