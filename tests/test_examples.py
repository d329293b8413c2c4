"""Each example is run, and says what its text promises."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def run(name: str, *words: str, status: int = 0) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [file.name for file in EXAMPLES.iterdir() if file.suffix == ".py" and f'run("{file.name}"' not in text] == []


def test_a_loss_of_ones_own_works_from_words_yaml_and_a_search() -> None:
    # even predictions of two classes against a target of the first: the Dice index of that class is 2/3
    words, yaml, search = run("own_loss.py", "loss=PowerLoss", "loss.p=3").splitlines()
    assert words == f"PowerLossCfg(p=3.0): {1 - (2 / 3) ** 3:.4f}"
    assert yaml == f"PowerLossCfg(p=1.0): {1 - 2 / 3:.4f}"
    p = float(search.partition("p=")[2].partition(")")[0])
    assert 1 < p < 3
    assert search.endswith(f": {1 - (2 / 3) ** p:.4f}")


def test_a_misspelt_word_of_the_example_is_refused() -> None:
    said = run("own_loss.py", "loss.q=3", status=2)
    assert said.startswith("loss.q=3: loss.q: unknown; known: check, class_weights, classes, ")
    assert len(said.splitlines()) == 1


def test_a_loss_of_ones_own_takes_eight_lines() -> None:
    classes = [n for n in ast.parse((EXAMPLES / "own_loss.py").read_text()).body if isinstance(n, ast.ClassDef)]
    lines = [node.end_lineno - node.lineno + 1 for node in classes if node.name.startswith("Power") and node.end_lineno]
    assert sum(lines) <= 8
