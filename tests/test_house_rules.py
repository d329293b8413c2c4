"""Rules that reviews would otherwise repeat: short files and functions, few suppressions, docs for all ..."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "dltools").rglob("*.py"))
EVERYTHING = sorted(
    LIBRARY + [file for part in ("tests", "benchmarks", "examples", "scripts") for file in (ROOT / part).rglob("*.py")]
)
SEEDS = {
    "random.seed",
    "np.random.seed",
    "torch.manual_seed",
    "torch.default_generator.manual_seed",
    "torch.cuda.manual_seed_all",
}
SEEDERS = {"dltools/rng.py", "dltools/data/fetch.py"}
"""Who may seed a global generator, since they put its state back."""
SUPPRESSION = re.compile(r"#\s*(type: ignore|noqa|pyright:|mypy:|ruff: noqa|pragma: no)")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def short(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    return ((ast.unparse(node.func), node) for node in ast.walk(tree(file)) if isinstance(node, ast.Call))


def test_no_file_is_longer_than_300_lines_and_most_are_short() -> None:
    assert {short(file): len(lines(file)) for file in EVERYTHING if len(lines(file)) > 300} == {}
    assert statistics.median(len(lines(file)) for file in LIBRARY) <= 120


def test_no_function_is_longer_than_50_lines() -> None:
    functions = [(file, node) for file in EVERYTHING for node in ast.walk(tree(file)) if isinstance(node, Function)]
    length = {
        f"{short(file)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for file, node in functions
        if node.end_lineno
    }
    assert {name: n for name, n in length.items() if n > 50} == {}


def test_policies_are_at_most_120_lines() -> None:
    assert {short(f): len(lines(f)) for f in LIBRARY if f.parent.name == "policies" and len(lines(f)) > 120} == {}


def test_suppressions_are_at_most_one_per_1000_lines() -> None:
    found = [
        f"{short(file)}:{n}: {line.strip()}"
        for file in LIBRARY
        for n, line in enumerate(lines(file), 1)
        if SUPPRESSION.search(line)
    ]
    total = sum(len(lines(file)) for file in LIBRARY)
    assert len(found) <= total / 1000, "\n".join(found)


def test_no_two_places_share_six_lines() -> None:
    """Lines of functions, whatever their variables are called; a table of lines that are all alike is none."""
    places: dict[tuple[str, ...], set[str]] = {}
    for file in LIBRARY:
        for body in bodies(file):
            shapes = [re.sub(r"\b[a-z_]\w*", "x", line) for _, line in body]
            for i in range(len(body) - 5):
                places.setdefault(tuple(shapes[i : i + 6]), set()).add(f"{short(file)}:{body[i][0]}")
    assert [sorted(at) for lines, at in places.items() if len(at) > 1 and len(set(lines)) > 1] == []


def bodies(file: Path) -> Iterator[list[tuple[int, str]]]:
    """The numbered lines of each function after its docstring, less empty ones, brackets, comments and imports."""
    for node in ast.walk(tree(file)):
        if isinstance(node, Function) and (body := node.body[ast.get_docstring(node) is not None :]):
            inside = enumerate(lines(file)[body[0].lineno - 1 : node.end_lineno], body[0].lineno)
            yield [(n, text.strip()) for n, text in inside if re.match(r"\s*(?!#|import |from )\W*\w", text)]


def test_every_module_starts_with_future_annotations() -> None:
    modules = [file for file in EVERYTHING if file.name != "__init__.py" and "scripts" not in file.parts]
    assert [short(file) for file in modules if "from __future__ import annotations" not in lines(file)] == []


@pytest.mark.parametrize("file", LIBRARY, ids=short)
def test_nothing_is_executed_from_a_file(file: Path) -> None:
    for name, call in calls(file):
        assert name not in {"eval", "exec", "os.system", "compile"}, f"line {call.lineno}"
        assert not re.fullmatch(r"(pickle|dill|cloudpickle|marshal|shelve)\.(load|loads|Unpickler|open)", name), (
            f"line {call.lineno}"
        )
        assert name not in {"yaml.unsafe_load", "yaml.full_load", "yaml.load_all"}, f"line {call.lineno}"
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", f"line {call.lineno}"
        if name == "np.load":
            assert keywords.get("allow_pickle", "False") == "False", f"line {call.lineno}"
        assert name != "yaml.load", f"line {call.lineno}"


@pytest.mark.parametrize("file", LIBRARY, ids=short)
def test_no_global_state_is_set(file: Path) -> None:
    if short(file) not in SEEDERS:
        assert [call.lineno for name, call in calls(file) if name in SEEDS] == []
    assert [call.lineno for name, call in calls(file) if name in {"logging.basicConfig", "warnings.simplefilter"}] == []
    top = [node for node in tree(file).body if isinstance(node, ast.Expr | ast.Assign)]
    assert [
        node.lineno for node in top if "os.environ[" in ast.unparse(node) or ".set_num_threads(" in ast.unparse(node)
    ] == []


@pytest.mark.parametrize("file", LIBRARY, ids=short)
def test_a_mistake_of_the_user_is_an_error_and_no_assert(file: Path) -> None:
    assert [node.lineno for node in ast.walk(tree(file)) if isinstance(node, ast.Assert)] == []


@pytest.mark.parametrize("file", LIBRARY, ids=short)
def test_everything_public_has_a_docstring(file: Path) -> None:
    assert ast.get_docstring(tree(file)) or not tree(file).body, "the module has none"
    assert list(undocumented(tree(file))) == []


def undocumented(module: ast.Module) -> Iterator[str]:
    """Public classes and functions without a docstring; a config that names its product speaks through it."""
    for node in module.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            bases = node.bases if isinstance(node, ast.ClassDef) else []
            builds = any(isinstance(part, ast.Constant) for base in bases for part in ast.walk(base))
            if not builds and ast.get_docstring(node) is None:
                yield f"{node.lineno}: {node.name}"
