"""Components of one's own: each example runs as it says, and its numbers are those of a formula."""

from __future__ import annotations

import ast
import csv
import math
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples" / "extend"
Run = Callable[..., tuple[list[str], dict[str, Any]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example with words; the lines it prints, and its names."""

    def one(name: str, *words: object) -> tuple[list[str], dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        names = runpy.run_path(str(FOLDER / name), run_name="__main__")
        return capsys.readouterr().out.splitlines(), names

    return one


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [file.name for file in sorted(FOLDER.iterdir()) if f'run("{file.name}"' not in text and file.is_file()] == []


@pytest.mark.parametrize(
    ("name", "classes", "most"), [("loss", "GCE", 8), ("metric", "Within", 12), ("sink", "Csv", 12)]
)
def test_a_component_takes_few_lines(name: str, classes: str, most: int) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name.startswith(classes)]
    assert len(nodes) == 2
    docs = {f'"""{ast.get_docstring(node)}"""' for node in nodes}
    lines = [line for node in nodes for line in text.splitlines()[node.lineno - 1 : node.end_lineno] if line.strip()]
    lines = [line for line in lines if line.strip() not in docs]
    assert len(lines) <= most


def test_the_loss_is_its_formula_from_the_command_line_and_from_yaml(run: Run) -> None:
    # even logits of four classes: p = 1/4
    said, names = run("loss.py", "loss=GCELoss", "loss.q=0.5")
    assert said[0] == f"GCELossCfg(q=0.5): {(1 - 0.5) / 0.5:.4f}"
    logged = dict(line.split(": ") for line in said[1:])
    ce, gce = math.log(4), (1 - 1 / 16) / 2
    assert logged["train/ce"] == f"{ce:.4f}"
    assert logged["train/gce"] == f"{gce:.4f}"
    assert logged["train/loss"] == f"{ce + 0.5 * gce:.4f}"

    logits = torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[0, 1, 2, 255, 1], [2, 2, 255, 0, 0]])
    plain = names["GCELoss"](q=1.0, ignore_index=255)(logits, target)  # the mean absolute error of probabilities
    p = logits.softmax(1).gather(1, target.clamp(0, 2).unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(plain, (1 - p)[target != 255].mean(), rtol=1e-12, atol=0)


def test_the_metric_counts_what_is_near_and_what_is_valid(run: Run) -> None:
    # five valid predictions, off by 0.25, 1, 0.25, 1 and 0
    far = "metrics.members.far={type: Within, tolerance: 2}"
    assert run("metric.py")[0] == [f"val/near: {3 / 5:.4f}"]
    said, names = run("metric.py", "metrics.members.near.tolerance=0.1", far)
    assert said == [f"val/far: {5 / 5:.4f}", f"val/near: {1 / 5:.4f}"]
    assert math.isnan(names["Within"]().compute()["within"])


def test_the_sink_has_the_whole_table_after_a_second_process_went_back(run: Run, tmp_path: Path) -> None:
    assert run("sink.py", tmp_path, 0, 3)[0][:2] == ["journal: closed, 0 dropped", "csv: closed, 0 dropped"]
    run("sink.py", tmp_path, 2, 5)
    with (tmp_path / "scalars.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["axis", "step", "name", "value"]] + [["step", str(i), "loss", str(1 / (1 + i))] for i in range(5)]


def test_the_script_goes_on_to_the_same_numbers(run: Run, tmp_path: Path) -> None:
    words = "loss=FocalLoss", "run.save_steps=7", "store.min_free_gb=0"
    whole = run("policy.py", f"out={tmp_path / 'whole'}", "run.total_steps=90", *words)[0]
    first = run("policy.py", f"out={tmp_path / 'parts'}", "run.total_steps=49", *words)[0]
    then = run("policy.py", f"out={tmp_path / 'parts'}", "run.total_steps=90", *words)[0]
    assert len(whole) == 3
    assert first + then == whole
    assert float(whole[-1].rpartition(" ")[2]) > 0.9
