"""What a process leaves behind, however it ends: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dltools.errors import DltoolsError
from dltools.writers.journal import read_journal
from dltools.writers.logbook import Logbook
from dltools.writers.multi import MultiWriterCfg
from dltools.writers.tensorboard import TensorBoardWriterCfg
from tests.writers.helpers import journal, steps, tensorboard
from tests.writers.processes import Processes

DEATHS = {
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "os._exit": ("os._exit(7)", 7),
    "exception": ("raise ValueError", 1),
    "exit": ("sys.exit(3)", 3),
    "end": ("pass", 0),
}


@pytest.mark.parametrize("death", DEATHS)
def test_every_death_loses_nothing_and_doubles_nothing(processes: Processes, tmp_path: Path, death: str) -> None:
    code, status = DEATHS[death]
    assert processes.run(f"writer = log(root)\n{code}", tmp_path).status == status
    assert steps(read_journal(tmp_path)) == list(range(50))
    if death in ("exception", "exit", "end"):
        assert len(tensorboard(tmp_path / "tb")["a"]) == 50
    with MultiWriterCfg(dir=str(tmp_path), writers={"tb": TensorBoardWriterCfg()}).build() as writer:
        writer.scalars({"a": 50}, 50)
    expected = [(step, float(step)) for step in range(51)]
    assert journal(tmp_path)["a"] == tensorboard(tmp_path / "tb")["a"] == expected


def test_a_torn_line_and_a_torn_event_are_cut(processes: Processes, tmp_path: Path) -> None:
    assert processes.run("log(root); os._exit(0)", tmp_path).status == 0
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step":50,"time":17')
    (events,) = (tmp_path / "tb").glob("events*")
    with events.open("ab") as file:
        file.write(b"\x18\x00\x00")
    with MultiWriterCfg(dir=str(tmp_path), writers={"tb": TensorBoardWriterCfg()}).build() as writer:
        writer.scalars({"a": 50}, 50)
    assert steps(read_journal(tmp_path)) == list(range(51))
    assert [step for step, _ in tensorboard(tmp_path / "tb")["a"]] == list(range(51))


def test_a_second_process_is_refused_with_the_pid_of_the_first(processes: Processes, tmp_path: Path) -> None:
    with MultiWriterCfg(dir=str(tmp_path)).build() as writer:
        writer.scalars({"a": 1}, 0)
        other = processes.run("log(root)", tmp_path)
    assert other.status == 1
    assert f"pid {os.getpid()}" in other.stderr
    assert steps(read_journal(tmp_path)) == [0]


def test_who_is_refused_is_refused_again_until_the_other_is_gone(tmp_path: Path) -> None:
    first, second = MultiWriterCfg(dir=str(tmp_path)).build(), MultiWriterCfg(dir=str(tmp_path)).build()
    first.scalars({"a": 0}, 0)
    for _ in range(2):
        with pytest.raises(DltoolsError, match=f"this process .pid {os.getpid()}"):
            second.scalars({"a": 1}, 1)
    first.close()
    second.scalars({"a": 1}, 1)
    second.close()
    assert steps(read_journal(tmp_path)) == [0, 1]


def test_a_dead_owner_whose_child_lives_on_is_replaced(processes: Processes, tmp_path: Path) -> None:
    dead = processes.run(
        """
        book = Logbook(root / "metrics.jsonl")
        if os.fork() == 0:
            time.sleep(60)
        os._exit(9)
        """,
        tmp_path,
    )
    assert dead.status == 9
    try:
        Logbook(tmp_path / "metrics.jsonl").close()
    finally:
        os.killpg(dead.pid, signal.SIGKILL)


@pytest.mark.parametrize("writer", ["MultiWriter(dir=str(root))", "TensorBoardWriter(dir=str(root))"])
def test_a_forked_child_warns_once_drops_and_ends(processes: Processes, tmp_path: Path, writer: str) -> None:
    """Another thread holds the writer's lock while the process forks: in the child nobody gives it back."""
    parent = processes.run(
        f"""
        writer = {writer}
        for step in range(50):
            writer.scalars({{"a": step}}, step)
        held, done = threading.Event(), threading.Event()

        def hold():
            with writer._lock:
                held.set()
                done.wait()

        threading.Thread(target=hold).start()
        held.wait()
        pid = os.fork()
        if pid == 0:
            start = time.monotonic()
            for step in range(50):
                writer.scalars({{"a": -1.0}}, step)
            writer.text("t", "x", 0)
            writer.flush()
            writer.rewind(0)
            writer.close()
            assert time.monotonic() - start < 1
            sys.exit(5)
        done.set()
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 5, status
        writer.scalars({{"a": 50}}, 50)
        """,
        tmp_path,
    )
    assert parent.status == 0, parent.stderr
    assert parent.stderr.count("this forked child drops what it logs") == 1
    read = journal if writer.startswith("Multi") else tensorboard
    assert read(tmp_path)["a"] == [(step, float(step)) for step in range(51)]
