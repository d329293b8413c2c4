"""Processes that a test may let die: forked from one that has imported everything once."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Self

SERVER = """
import json, os, signal, sys, threading, time
from pathlib import Path
from dltools.writers.logbook import Logbook
from dltools.writers.multi import MultiWriter
from dltools.writers.tensorboard import TensorBoardWriter, TensorBoardWriterCfg
TensorBoardWriter()  # loads its protocol buffers

def log(folder):
    writer = MultiWriter(dir=str(folder), writers={"tb": TensorBoardWriterCfg(flush_secs=0.02)})
    for step in range(50):
        writer.scalars({"a": step}, step)
        if step == 20:
            writer.flush()
    return writer

for line in sys.stdin:
    code, folder, errors = json.loads(line)
    if (pid := os.fork()) == 0:
        break
    print(json.dumps([pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]), flush=True)
else:
    sys.exit()
os.setsid()
root = Path(folder)
os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
os.dup2(2, 1)
exec(code)
"""
"""The child leaves the loop and goes on to the end of the script, so that it ends as any interpreter does."""


@dataclass(frozen=True)
class Ended:
    """A process that is no more; its process group has its pid."""

    pid: int
    status: int
    stderr: str


class Processes:
    """``run`` executes code in a process of its own; ``root`` is its folder, ``log(root)`` writes 50 steps there."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, code: str, folder: Path) -> Ended:
        errors = folder.parent / f"{folder.name}.stderr"
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([textwrap.dedent(code), str(folder), str(errors)]) + "\n")
        stdin.flush()
        pid, status = json.loads(stdout.readline())
        return Ended(pid, status, errors.read_text())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._server:
            pass
