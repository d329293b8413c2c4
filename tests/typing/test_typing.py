"""mypy --strict and pyright infer what ``build`` makes and refuse each planted mistake, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = Path(__file__).with_name("planted.py")
EXPECTED = {
    n for n, line in enumerate(PLANTED.read_text().splitlines(), 1) if "# refused" in line and not line.startswith('"')
}


def run(*command: str) -> str:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT).stdout


def mypy_lines() -> set[int]:
    out = run("mypy", "--strict", "--no-error-summary", "--no-warn-unused-ignores", str(PLANTED))
    return {int(line.split(":")[1]) for line in out.splitlines() if ": error:" in line and PLANTED.name in line}


def pyright_lines() -> set[int]:
    found = json.loads(run("pyright", "--pythonpath", sys.executable, "--outputjson", str(PLANTED)))[
        "generalDiagnostics"
    ]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


@pytest.mark.parametrize("refused", [mypy_lines, pyright_lines])
def test_the_checkers_refuse_exactly_the_planted_mistakes(refused: object) -> None:
    assert callable(refused)
    assert refused() == EXPECTED
    assert len(EXPECTED) == 7
