"""The layers of the architecture, as contracts in pyproject.toml, hold and leave no module out."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dltools
from dltools.cfgutils import Config
from dltools.cfgutils.config import members, product_class

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


WRONG = {
    "sideways": ({"losses/a.py": "import dltools.metrics"}, "dltools.losses is not allowed to import dltools.metrics"),
    "up": ({"losses/a.py": "import dltools.handlers"}, "dltools.losses is not allowed to import dltools.handlers"),
    "circle": (
        {
            "losses/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dltools.losses.b",
            "losses/b.py": "import dltools.losses.a",
        },
        "no imports in a circle, at any depth, not even for type checkers BROKEN",
    ),
    "tensors": ({"cfgutils/a.py": "def f():\n    import torch"}, "dltools.cfgutils is not allowed to import torch"),
    "drawing": ({"losses/a.py": "import matplotlib"}, "dltools.losses is not allowed to import matplotlib"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_breaks_a_contract_is_named(tmp_path: Path, what: str) -> None:
    files, said = WRONG[what]
    for name in {"dltools", *set.union(*layers())}:
        (tmp_path / name.replace(".", "/")).mkdir(parents=True, exist_ok=True)
        (tmp_path / name.replace(".", "/") / "__init__.py").touch()
    for name, text in files.items():
        (tmp_path / "dltools" / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    done = lint(tmp_path)
    assert done.returncode == 1
    assert said in " ".join(done.stdout.split())


PARTS = {
    "checkpoints/run.py": {"Store"},
    "data/loader.py": {"ShuffleSamplerCfg"},
    "handlers/parallel.py": {"Accumulate"},
    "handlers/step.py": {"Accumulate", "AccumulateCfg", "Amp", "AmpCfg", "SkipNonFiniteCfg"},
    "handlers/window.py": {"Accumulate"},
    "losses/probabilistic/hardest_pixels.py": {"CELossCfg"},
    "optim/schedulers/scheduler.py": {"Plateau", "PlateauCfg"},
    "writers/multi.py": {"JsonlWriter", "JsonlWriterCfg"},
}
"""Components that are made of others, and of which ones; in a family nobody knows another member."""


def test_no_component_knows_another_one_of_its_area() -> None:
    for one in pkgutil.walk_packages(dltools.__path__, "dltools."):
        if not one.name.endswith("__main__"):
            importlib.import_module(one.name)
    own = [cfg for cfg in members(Config).values() if cfg.__module__.startswith("dltools.")]
    classes = [cls for cfg in own for cls in (cfg, product_class(cfg))]
    concrete = {(cls.__module__, cls.__name__) for cls in classes}
    known: dict[str, set[str]] = {}
    for file in sorted((ROOT / "dltools").rglob("*.py")):
        path, tree = file.relative_to(ROOT / "dltools"), ast.parse(file.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.ClassDef | ast.FunctionDef) for node in tree.body):  # others only pass names on
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"dltools.{path.parts[0]}."):
                    names = {alias.name for alias in node.names if (node.module, alias.name) in concrete}
                    known.setdefault(path.as_posix(), set()).update(names)
    assert {path: names for path, names in known.items() if names} == PARTS
