"""What a process leaves behind, however it ends: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dltools.writers.journal import read_journal
from dltools.writers.multi import MultiWriterCfg
from dltools.writers.tensorboard import TensorBoardWriterCfg
from tests.writers.helpers import journal, steps, tensorboard

SETUP = """
import os, signal, sys, time
from pathlib import Path
from dltools.writers.multi import MultiWriter
from dltools.writers.tensorboard import TensorBoardWriterCfg

def log(folder):
    writer = MultiWriter(dir=str(folder), writers={"tb": TensorBoardWriterCfg(flush_secs=0.02)})
    for step in range(50):
        writer.scalars({"a": step}, step)
        if step == 20:
            writer.flush()
    return writer

root = Path(sys.argv[1])
"""
DEATHS = {
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "os._exit": ("os._exit(7)", 7),
    "exception": ("raise ValueError", 1),
    "exit": ("sys.exit(3)", 3),
    "end": ("pass", 0),
}
MANY = """
for name, (code, status) in {deaths}.items():
    if (pid := os.fork()) == 0:
        writer = log(root / name)
        exec(code)
        break
    found = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert found == status, (name, found)
"""


def child(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    code = SETUP + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of processes that ended in each way."""
    folder = tmp_path_factory.mktemp("dead")
    deaths = {name: (code, int(status)) for name, (code, status) in DEATHS.items()}
    parent = child(MANY.format(deaths=deaths), folder)
    assert parent.returncode == 0, parent.stderr
    return folder


@pytest.mark.parametrize("death", DEATHS)
def test_every_death_loses_nothing_and_doubles_nothing(dead: Path, death: str) -> None:
    folder = dead / death
    assert steps(read_journal(folder)) == list(range(50))
    if death in ("exception", "exit", "end"):
        assert len(tensorboard(folder / "tb")["a"]) == 50
    cfg = MultiWriterCfg(dir=str(folder), writers={"tb": TensorBoardWriterCfg()})
    with cfg.build() as writer:
        writer.scalars({"a": 50}, 50)
    expected = [(step, float(step)) for step in range(51)]
    assert journal(folder)["a"] == tensorboard(folder / "tb")["a"] == expected


def test_a_torn_line_and_a_torn_event_are_cut(tmp_path: Path) -> None:
    assert child("log(root); os._exit(0)", tmp_path).returncode == 0
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step":50,"time":17')
    (events,) = (tmp_path / "tb").glob("events*")
    with events.open("ab") as file:
        file.write(b"\x18\x00\x00")
    with MultiWriterCfg(dir=str(tmp_path), writers={"tb": TensorBoardWriterCfg()}).build() as writer:
        writer.scalars({"a": 50}, 50)
    assert steps(read_journal(tmp_path)) == list(range(51))
    assert [step for step, _ in tensorboard(tmp_path / "tb")["a"]] == list(range(51))


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with MultiWriterCfg(dir=str(tmp_path)).build() as writer:
        writer.scalars({"a": 1}, 0)
        other = child("log(root)", tmp_path)
    assert other.returncode == 1
    assert f"pid {os.getpid()}" in other.stderr


FORK = """
    writer = log(root)
    pid = os.fork()
    if pid == 0:
        start = time.monotonic()
        for step in range(50):
            writer.scalars({"a": -1.0}, step)
        writer.text("t", "x", 0)
        writer.flush()
        writer.rewind(0)
        writer.close()
        assert time.monotonic() - start < 1
        sys.exit(5)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 5, status
    writer.scalars({"a": 50}, 50)
"""


def test_a_forked_child_warns_once_drops_and_ends(tmp_path: Path) -> None:
    """The threads of the writer are at work while the process forks."""
    parent = child(FORK, tmp_path)
    assert parent.returncode == 0, parent.stderr
    assert parent.stderr.count("this forked child drops what it logs") == 1
    expected = [(step, float(step)) for step in range(51)]
    assert journal(tmp_path)["a"] == tensorboard(tmp_path / "tb")["a"] == expected
