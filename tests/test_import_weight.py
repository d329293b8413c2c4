"""What an import loads: dltools itself no torch, an area nothing heavy beyond it, even when all names are used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.test_exports import PACKAGES

HEAVY = {
    "albumentations", "cv2", "matplotlib", "mlflow", "onnx", "pandas", "ray", "scipy", "skimage", "sklearn",
    "tensorboard", "timm", "torchmetrics", "torchvision", "wandb",
}  # fmt: skip
PROBE = """
import importlib, json, sys
loaded = {}
for package in sys.argv[1:]:
    before = set(sys.modules)
    module = importlib.import_module(package)
    bare = set(sys.modules) - before
    for name in module.__all__ if package != "dltools" else ():
        getattr(module, name)
    used = set(sys.modules) - before
    loaded[package] = [sorted({name.partition(".")[0] for name in names}) for names in (bare, used)]
print(json.dumps(loaded))
"""


def probe(*packages: str) -> dict[str, list[list[str]]]:
    done = subprocess.run([sys.executable, "-c", PROBE, *packages], capture_output=True, text=True, check=True)
    found: dict[str, list[list[str]]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[list[str]]]:
    return probe(*PACKAGES)


def test_import_dltools_loads_nothing_but_the_standard_library(loaded: dict[str, list[list[str]]]) -> None:
    bare, _ = loaded["dltools"]
    assert set(bare) - set(sys.stdlib_module_names) == {"dltools"}


def test_configs_need_no_torch() -> None:
    _, used = probe("dltools.cfgutils")["dltools.cfgutils"]
    assert "torch" not in used


@pytest.mark.parametrize("package", PACKAGES)
def test_an_area_loads_nothing_heavy_even_when_all_its_names_are_used(
    loaded: dict[str, list[list[str]]], package: str
) -> None:
    _, used = loaded[package]
    assert set(used) & HEAVY == set()
