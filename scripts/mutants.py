"""Small faults planted one at a time: which of them do the tests see? ``make mutants``; see ``docs/mutants.md``.

``python scripts/mutants.py [--survivors] [group ...]``: a group of ``[tool.mutmut.groups]`` is copied to
``build/mutants`` with the tests that are asked for it, mutmut runs there, and the score of each file follows. With
``--survivors`` only what no test has seen the last time is tried again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SEEN = {0: "survived", 5: "no tests", 33: "no tests", None: "not run", -24: "timeout", 24: "timeout", 36: "timeout"}
"""What an exit status of pytest says of a mutant; every other one is a kill."""
KILLED = {"killed"}  # a timeout may be that of a busy machine: it is listed, and `--survivors` tries it again


def main() -> None:
    groups: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]["groups"]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("groups", nargs="*", default=[*groups], metavar="group", help=", ".join(groups))
    parser.add_argument("--survivors", action="store_true", help="only those that lived the last time")
    chosen = parser.parse_args()
    if unknown := {*chosen.groups} - {*groups}:
        parser.error(f"no group is called {', '.join(sorted(unknown))}; there are {', '.join(groups)}")
    for name in chosen.groups:
        run(name, groups[name], chosen.survivors)
    for name in chosen.groups:
        report(name)


def run(name: str, group: dict[str, list[str]], survivors: bool) -> None:
    """Plant and try the mutants of one group."""
    place = ROOT / "build" / "mutants" / name
    again = [mutant for _, mutant, status in verdicts(place) if status not in KILLED] if survivors else []
    if not survivors:
        shutil.rmtree(place, ignore_errors=True)
    for part in ("dltools", "tests"):
        shutil.copytree(ROOT / part, place / part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)  # a test may reach other functions now
    left_out = ["compile", *group.get("without", ())]  # dynamo cannot look into what mutmut puts around a function
    (place / "conftest.py").write_text("import torch._dynamo\n")  # once, and not after each fork
    settings = {
        "also_copy": ["conftest.py"],
        "only_mutate": group["mutate"],
        "pytest_add_cli_args_test_selection": group["tests"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-k", " and ".join(f"not {word}" for word in left_out)],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text()
    (place / "pyproject.toml").write_text(text.replace("[tool.mutmut]\n", "\n".join(["[tool.mutmut]", *lines, ""])))
    mutmut(place, again)
    living = [mutant for _, mutant, status in verdicts(place) if status not in KILLED]
    if living and group.get("ranks"):
        give_all_tests(place, living)
        mutmut(place, living)


def mutmut(place: Path, mutants: list[str]) -> None:
    """Run it on some mutants, or on all."""
    children = ["--max-children", os.environ["MUTANTS_CHILDREN"]] if "MUTANTS_CHILDREN" in os.environ else []
    settled = {"OMP_NUM_THREADS": "1", "DLTOOLS_RANKS": "fork"}
    command = [sys.executable, "-m", "mutmut", "run", *mutants, *children]
    subprocess.run(command, cwd=place, env=os.environ | settled, check=True)


def give_all_tests(place: Path, mutants: list[str]) -> None:
    """Mutmut does not see what is called in processes that the tests start: all tests of the group are tried."""
    file = place / "mutants" / "mutmut-stats.json"
    stats = json.loads(file.read_text())
    for mutant in mutants:
        stats["tests_by_mangled_function_name"][mutant.rpartition("__mutmut_")[0]] = [*stats["duration_by_test"]]
    file.write_text(json.dumps(stats))


def verdicts(place: Path) -> list[tuple[str, str, str]]:
    """File, mutant and what became of it."""
    found = []
    for file in sorted(place.glob("mutants/dltools/**/*.py.meta")):
        of = file.relative_to(place / "mutants").as_posix().removesuffix(".meta")
        for mutant, status in json.loads(file.read_text())["exit_code_by_key"].items():
            found.append((of, mutant, SEEN.get(status, "killed")))
    return found


def report(name: str) -> None:
    """The mutants of each file that the tests have killed, then those that live."""
    found = verdicts(ROOT / "build" / "mutants" / name)
    rows = {file: Counter(status for of, _, status in found if of == file) for file, _, _ in found}
    rows[f"{name} in all"] = Counter(status for _, _, status in found)
    for file, counts in rows.items():
        killed, total = sum(counts[status] for status in KILLED), counts.total()
        print(f"{file:40} {killed:5} of {total:5}  {killed / max(total, 1):6.1%}")
    for _, mutant, status in found:
        if status not in KILLED:
            print(f"  {status}: {mutant}")


if __name__ == "__main__":
    main()
