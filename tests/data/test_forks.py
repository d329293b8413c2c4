"""Workers forked while OpenCV, torch and gloo have threads: they once hung for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def test_workers_start_whatever_threads_the_process_has() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.forks"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["num_threads"] > 3
    here, forked, spawned, after = (np.array(found[name]) for name in ("here", "forked", "spawned", "after"))
    assert here[:, 1:].tolist() == after[:, 1:].tolist() == [[2, 2, 0]] * 4  # threads of torch, of OpenCV; not a worker
    assert forked[:, 1:].tolist() == spawned[:, 1:].tolist() == [[1, 1, 1]] * 4
    assert forked.tolist() == spawned.tolist()
    assert here.tolist() == after.tolist()
    np.testing.assert_allclose(forked[:, 0], here[:, 0], rtol=1e-5)  # sums of float32 in another order
    assert "'spawn'" in found["unpicklable"]
    assert "lambda" in found["unpicklable"]
