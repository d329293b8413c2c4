"""Every block of the documents runs and says what is printed under it.

A ``python`` block runs after those above it in its file, in one namespace; a ``text`` block right under it is its
output. A line ``$ command`` of a ``console`` block runs, and the lines under it are its output. A ``yaml`` block after
``<!-- loads as dltools.losses.LossCfg -->`` loads as that.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import NamedTuple

import pytest

from dltools.cfgutils import load

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(
    r"(?:<!-- loads as (?P<loads>[\w.]+) -->\n+)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block of a document."""

    kind: str
    body: str
    line: int
    loads: str | None
    output: str | None
    """The text block right under it."""


def blocks(text: str) -> list[Block]:
    found = list(FENCE.finditer(text))
    after = [*found[1:], None][: len(found)]
    made = []
    for one, following in zip(found, after, strict=True):
        adjacent = following and following["kind"] == "text" and not text[one.end() : following.start()].strip()
        output = following["body"] if following and adjacent else None
        made.append(Block(one["kind"], one["body"], text.count("\n", 0, one.start("body")), one["loads"], output))
    return made


def run_python(parts: list[Block], name: str, file: Path) -> None:
    """In a module of their own, where configs find the classes that they name."""
    module = sys.modules[name] = types.ModuleType(name)
    try:
        for block in parts:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * block.line + block.body, file, "exec"), vars(module))
            if block.output is not None:
                assert printed.getvalue().rstrip() == block.output.rstrip(), f"{file.name}:{block.line}"
    finally:
        del sys.modules[name]


def run_console(block: Block, folder: Path) -> None:
    """Commands of this environment: ``python`` and what stands beside it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"}
    for entry in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
        command, _, expected = entry.partition("\n")
        done = subprocess.run(shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        if expected.strip():
            assert done.stdout.rstrip() == expected.rstrip(), command


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_a_document_says_what_happens(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(file.read_text(encoding="utf-8"))
    run_python([block for block in found if block.kind == "python"], f"document_{file.stem}", file)
    for block in found:
        if block.kind == "console":
            run_console(block, tmp_path)
        if block.loads:
            module, _, name = block.loads.rpartition(".")
            load(getattr(importlib.import_module(module), name), block.body)


def test_blocks_are_found_with_what_stands_under_them() -> None:
    text = "a\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n<!-- loads as m.C -->\n```yaml\na: 1\n```\n\n"
    text += "```python\nx\n```\nand\n```text\n2\n```\n"
    assert [(b.kind, b.line, b.loads, b.output) for b in blocks(text)] == [
        ("python", 3, None, "1\n"),
        ("text", 7, None, None),
        ("yaml", 12, "m.C", None),
        ("python", 16, None, None),
        ("text", 20, None, None),
    ]


def test_the_tree_of_the_readme_is_the_tree_of_the_package() -> None:
    tree = re.search(r"^dltools/\n((?:  .*\n)+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert tree
    shown = {line.split()[0].rstrip("/") for line in tree[1].splitlines()}
    inside = {
        path.name for path in (ROOT / "dltools").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert shown == {name for name in inside if name == "__main__.py" or not name.startswith("_")}
