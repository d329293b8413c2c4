"""A stopped training goes on in a fresh process to the last bit, also with another number of workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.checkpoints.resumable import train

ROOT = Path(__file__).parents[2]
CASES = [(10, 0, 0), (14, 0, 0), (10, 0, 2), (14, 2, 3), (14, 3, 0)]
"""Stop, workers before, workers after."""


def test_a_run_resumes_to_the_last_bit_in_a_fresh_process(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 0, 30)
    assert len(set(whole)) == 30
    words: list[str] = []
    for i, (stop, before, after) in enumerate(CASES):
        assert train(tmp_path / str(i), before, stop) == whole[:stop]
        words += [str(tmp_path / str(i)), str(after)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.checkpoints.resumable", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [line.split()[1:] for line in done.stdout.splitlines()]
    assert [len(losses) for losses in found] == [20, 16, 20, 16, 16]
    for losses, (stop, *_) in zip(found, CASES, strict=True):
        assert losses == whole[stop:]
