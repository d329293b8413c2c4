"""The layers of the architecture, as contracts in pyproject.toml, hold and leave no module out."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    return subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True)


def layers() -> list[set[str]]:
    return [{name.strip(" ()") for name in layer.split("|")} for layer in CONTRACT["layers"]]


def test_no_file_imports_from_its_own_layer_or_a_higher_one() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


def test_every_module_belongs_to_a_layer() -> None:
    inside = {
        path.stem for path in (ROOT / "dltools").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert {f"dltools.{name}" for name in inside - {"__init__"}} <= set.union(*layers())


def test_layers_stand_in_the_order_of_the_architecture() -> None:
    order = {name.removeprefix("dltools."): -level for level, layer in enumerate(layers()) for name in layer}
    tower = [
        "errors",
        "cfgutils",
        "states",
        "dist",
        "meters",
        "functional",
        "losses",
        "handlers",
        "policies",
        "__main__",
    ]
    assert [order[name] for name in tower] == sorted({order[name] for name in tower})
    areas = "losses metrics augs optim writers data visualizers models".split()
    assert len({order[area] for area in areas}) == 1
    assert order["handlers"] == order["checkpoints"]


@pytest.mark.parametrize("line", ["import dltools.metrics", "from dltools.handlers import step"])
def test_a_loss_that_looks_sideways_or_up_is_refused(tmp_path: Path, line: str) -> None:
    for name in ("metrics", "handlers"):
        (tmp_path / "dltools" / name).mkdir(parents=True)
        (tmp_path / "dltools" / name / "__init__.py").touch()
    (tmp_path / "dltools/handlers/step.py").touch()
    for layer in CONTRACT["layers"]:
        if not layer.startswith("("):
            (tmp_path / f"{layer.strip().replace('.', '/')}.py").touch()
    (tmp_path / "dltools/__init__.py").touch()
    (tmp_path / "dltools/losses.py").write_text(line)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "dltools.losses is not allowed to import dltools" in done.stdout
