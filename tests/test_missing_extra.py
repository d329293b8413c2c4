"""Without an optional package, what needs it says which pip line brings it; a line of the table per use."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dltools

CASES = [
    ("scikit-learn", "data", "from dltools.data import digits; digits()"),
    ("matplotlib", "plot", "from dltools.visualizers import curves; curves({'loss': ([0, 1], [1, 0])})"),
    (
        "matplotlib",
        "plot",
        "from dltools.visualizers import confusion_matrix; import numpy; confusion_matrix(numpy.eye(2))",
    ),
    ("tensorboard", "tensorboard", "from dltools.writers import TensorBoardWriter; TensorBoardWriter()"),
    ("opencv-python-headless", "plot", "from dltools.writers.png import check_format; check_format('jpg')"),
    ("opencv-python-headless", "augs", "from dltools.augs.resample import opencv; opencv()"),
    ("scipy", "metrics", "from dltools.metrics import KendallTau; KendallTau().compute()"),
    ("torchmetrics", "metrics", "from dltools.metrics import MAE, as_torchmetrics; as_torchmetrics(MAE())"),
    ("scikit-image", "data", "from dltools.metrics.segmentation.surfaces import sizes; sizes((1.0, 1.0, 1.0))"),
    (
        "edt",
        "metrics",
        "import torch; from dltools.functional import distance_map as d; d(torch.ones(1, 1, 4), backend='edt')",
    ),
    *(
        (package, extra, f"from dltools.optim import *; ExternalOptimCfg(source='{source}', name='Lion').product()")
        for package, extra, source in (
            ("pytorch-optimizer", "optim", "pytorch_optimizer"),
            ("schedulefree", "optim", "schedulefree"),
            ("timm", "models", "timm"),
        )
    ),
]
"""Package, extra, and a program that needs it."""

PROBE = '''
import json, sys
BLOCKED = "albumentations cv2 matplotlib mlflow onnx ray skimage sklearn tensorboard timm torchmetrics wandb".split()
BLOCKED += ["pytorch_optimizer", "schedulefree", "scipy", "edt"]

class Without:
    """A finder that does not find the blocked packages."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in BLOCKED else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
from dltools.errors import MissingExtraError
said = []
for program in json.load(sys.stdin):
    try:
        exec(program, {})
    except MissingExtraError as error:
        said.append(str(error))
    except Exception as error:
        said.append(repr(error))
    else:
        said.append("nothing")
print(json.dumps(said))
'''


def uses() -> list[tuple[str, str]]:
    """Each ``MissingExtraError(package, extra)`` that dltools writes."""
    found = set()
    for file in Path(dltools.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtraError":
                package, extra = (ast.literal_eval(argument) for argument in node.args)
                found.add((package, extra))
    return sorted(found)


USES = uses()


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    programs = [program for _, _, program in CASES]
    done = subprocess.run(
        [sys.executable, "-c", PROBE], input=json.dumps(programs), capture_output=True, text=True, check=True
    )
    return dict(zip(programs, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize(("package", "extra", "program"), CASES)
def test_a_missing_package_is_named_with_its_pip_line(
    said: dict[str, str], package: str, extra: str, program: str
) -> None:
    assert said[program] == f'{package} is not installed. Hint: pip install "dltools[{extra}]".'


def test_the_table_knows_every_use() -> None:
    assert {(package, extra) for package, extra, _ in CASES} == set(USES)
