"""What the pages say of the package is so: their files exist, their layers and walks are those that are.

Their blocks run with those of the README, in ``test_readme.py``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import pytest

import dltools
from dltools._catalog import catalog
from dltools.augs import PresetCfg
from dltools.cfgutils import build, dump, load
from dltools.checkpoints import StoreCfg
from dltools.data import LoaderCfg, digits
from dltools.handlers import StepHandlerCfg
from dltools.losses import CELossCfg, LossCfg
from dltools.meters import collect
from dltools.metrics import AccuracyCfg
from dltools.models import LinearHeadCfg, ModelCfg, SmallCnnCfg
from dltools.optim import AdamWCfg
from dltools.writers import MemoryWriterCfg, MultiWriter
from tests.test_readme import DOCUMENTS, ROOT, blocks

T = TypeVar("T")
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
ARCHITECTURE = DOCS / "architecture.md"
PACKAGE = Path(dltools.__file__).parent
ROW = re.compile(r"^\| (?P<stage>[\w ]+) \| .* \| (?P<files>`.+`) \| (?P<count>\d+) \|$", re.MULTILINE)
"""A row of a walk: stage, what happens, the files, how many."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def short(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def files_entered(do: Callable[[], T]) -> tuple[T, list[str]]:
    """The files of the package whose functions are called, in the order of the first call."""
    found: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in file.parents and not frame.f_code.co_name.startswith("<"):
            found[file.relative_to(PACKAGE).as_posix()] = None

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        made = do()
    finally:
        sys.setprofile(before)
    return made, list(found)


def told(stage: str) -> list[str]:
    """The files that the page names for a stage, after a look at their number."""
    rows = {row["stage"]: row for row in ROW.finditer(text(ARCHITECTURE))}
    files = re.findall(r"`([^`]+)`", rows[stage]["files"])
    assert int(rows[stage]["count"]) == len(files), stage
    return files


def test_the_blocks_of_all_pages_run_with_those_of_the_readme() -> None:
    assert PAGES
    assert set(PAGES) <= set(DOCUMENTS)


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    outside = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml))`", outside)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", outside) if "://" not in link]
    absent = [name for name in named if not (ROOT / name).exists() and not (PACKAGE / name).exists()]
    absent += [link for link in links if not (page.parent / link).exists()]
    assert absent == []


def test_every_test_that_a_page_names_exists() -> None:
    tests = "\n".join(text(file) for file in (ROOT / "tests").glob("**/test_*.py"))
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", text(page))}
    assert {name for name in named if f"def {name}(" not in tests} == set()


@pytest.mark.parametrize("page", DECISIONS, ids=short)
def test_a_decision_is_one_short_page(page: Path) -> None:
    said = text(page)
    assert len(said.splitlines()) <= 40
    assert re.findall(r"^## (.+)$", said, re.MULTILINE) == ["Context", "Choice", "Rejected"]
    assert re.match(rf"# {int(page.name[:4])}\. \S", said)
    assert page.name in text(ARCHITECTURE), "the map links every decision"


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_layers_of_the_page_are_those_that_are_checked() -> None:
    contract = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    layers = [re.findall(r"dltools\.(\w+)", layer) for layer in contract["layers"]]
    there = {path.stem if path.suffix == ".py" else path.name for path in PACKAGE.iterdir()}
    expected = [sorted(there & set(layer)) for layer in layers]
    diagram = next(block for block in blocks(text(ARCHITECTURE)) if block.kind == "text")
    shown = [sorted(line.partition("  ")[0].split(" | ")) for line in diagram.body.splitlines()]
    assert shown == expected


def test_the_walk_of_a_batch(tmp_path: Path) -> None:
    aug = build(PresetCfg(size=(8, 8), strength="light", normalize=None))
    loader = build(LoaderCfg(batch_size=4, last="drop"), digits("train"), aug)
    model = build(ModelCfg(backbone=SmallCnnCfg(in_channels=1), heads={"label": LinearHeadCfg(num_outputs=10)}))
    optimizer = build(AdamWCfg(), model)
    loss, step, acc = build(CELossCfg()), build(StepHandlerCfg(), model, optimizer), build(AccuracyCfg(num_classes=10))
    store = build(StoreCfg(root=tmp_path / "store", min_free_gb=0))
    parts = {"model": model, "optim": optimizer, "step": step, "loader": loader}
    batches = iter(loader)

    def once(number: int) -> dict[str, list[str]]:
        walk: dict[str, list[str]] = {}
        batch, entered = files_entered(lambda: next(batches))
        walk["augment"] = [name for name in entered if name.startswith("augs/")]
        walk["load"] = [name for name in entered if not name.startswith("augs/")]
        pred, walk["model"] = files_entered(lambda: model(batch["image"])["label"])
        value, walk["loss"] = files_entered(lambda: loss(pred, batch["label"]))
        _, walk["step"] = files_entered(lambda: step(value))
        _, walk["metric"] = files_entered(lambda: acc.update(pred, batch["label"]))
        report, walk["collect"] = files_entered(lambda: collect({"train": loss, "val": acc}))
        _, walk["write"] = files_entered(lambda: writer.scalars(report, number))
        _, walk["save"] = files_entered(lambda: store.save(parts, step=number, metrics=report))
        return walk

    with MultiWriter(dir=str(tmp_path), writers={"memory": MemoryWriterCfg()}) as writer:
        once(1)  # opens and prepares
        walk = once(2)
    assert {stage: told(stage) for stage in walk} == walk


def test_the_walk_of_a_config() -> None:
    written = "type: Combine\nterms:\n  ce: {type: CELoss}\n  dice: {type: DiceLoss, ignore_index: 255}\n"

    def once() -> dict[str, list[str]]:
        walk: dict[str, list[str]] = {}
        cfg, walk["read"] = files_entered(lambda: load(LossCfg, written))
        loss, walk["build"] = files_entered(lambda: build(cfg))
        again, walk["write back"] = files_entered(lambda: dump(loss.cfg))
        assert load(LossCfg, again) == cfg
        return walk

    once()  # imports and prepares
    walk = once()
    assert {stage: told(stage) for stage in walk} == walk


def test_the_reference_pages_are_those_of_the_package() -> None:
    done = subprocess.run([sys.executable, DOCS / "build.py", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize(("page", "area"), [("losses.md", "losses"), ("metrics.md", "metrics")])
def test_no_component_is_missing_from_its_page(page: str, area: str) -> None:
    others = {"Metrics", "Target", "LinearWeight", "CosineWeight", "PiecewiseWeight", "EmaNorm", "Uncertainty"}
    headings = set(re.findall(r"^### (\w+)$", text(DOCS / page), re.MULTILINE))
    assert headings == {entry.tag for entry in catalog(area)} - others


def test_every_picture_is_shown() -> None:
    shown = {file for page in PAGES for file in re.findall(r"!\[[^]]+\]\(pictures/([^)]+)\)", text(page))}
    assert shown == {file.name for file in (DOCS / "pictures").iterdir()}
