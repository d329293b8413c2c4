"""pyproject.toml is the only source of metadata, and says what the code says."""

from __future__ import annotations

import ast
import importlib
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import dltools
from tests.test_missing_extra import USES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}


def test_the_version_is_that_of_the_package() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert metadata.version("dltools") == dltools.__version__


def test_core_dependencies_are_few_and_have_lower_bounds_only() -> None:
    core = [Requirement(line) for line in PROJECT["dependencies"]]
    assert {r.name for r in core} == {"torch", "numpy", "pydantic", "PyYAML", "safetensors", "typer"}
    bounded = [r for found in (core, *EXTRAS.values()) for r in found if any(s.operator != ">=" for s in r.specifier)]
    assert [str(r) for r in bounded] == ["albumentations<2.1,>=2.0.8"]


def test_extras_are_those_promised() -> None:
    promised = "augs metrics data tune tensorboard mlflow wandb export plot models optim all dev"
    assert set(EXTRAS) == set(promised.split())
    (everything,) = EXTRAS["all"]
    # timm requires torchvision, whose usual builds would replace a CPU build of torch
    assert everything.extras == set(EXTRAS) - {"all", "dev", "models"}


@pytest.mark.parametrize(("package", "extra"), USES)
def test_the_extra_that_an_error_names_brings_the_package(package: str, extra: str) -> None:
    assert package in {requirement.name for requirement in EXTRAS[extra]}


def test_requirements_pin_torch_exactly_before_all_else() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == ["torch==2.13.0", "-e .[all,dev]"]


def test_setup_py_says_nothing_of_its_own() -> None:
    calls = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.Call)]
    assert [ast.unparse(call) for call in calls] == ["setup()"]


def test_the_console_script_exists() -> None:
    module, _, function = PROJECT["scripts"]["dltools"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "dltools/py.typed").is_file()
