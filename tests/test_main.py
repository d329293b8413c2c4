"""The command line: what each command prints, and one line and status 2 for a mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dltools
from dltools import __main__ as command_line
from dltools import _catalog
from dltools.__main__ import app, main
from dltools._catalog import KINDS, absent_extras, catalog
from dltools.cfgutils import load
from dltools.errors import ConfigError
from dltools.optim import SGDCfg
from dltools.policies import ClassificationPolicyCfg, PolicyCfg, classification
from dltools.policies.presets import presets


def said(*words: str, status: int = 0) -> str:
    """What a command prints; errors of dltools are printed by ``main``, around the app."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == status, done.output
    return done.output


def mistake(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The message with which ``main`` leaves with status 2; nothing else is printed."""
    monkeypatch.setattr(sys, "argv", ["dltools", *words])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    return err


def test_list_gives_every_component_of_an_area_with_its_summary() -> None:
    lines = said("list", "losses").splitlines()
    assert {line.split()[0] for line in lines} == {"losses"}
    tags = [line.split()[1] for line in lines]
    assert {"CELoss", "DiceLoss", "TverskyLoss", "Combine"} <= set(tags)
    assert len(tags) == len(set(tags))
    assert all(len(line.split()) > 3 for line in said("list").splitlines()), "a component without a summary"
    dice = [tuple(line.split()[:2]) for line in said("list", "*", "*dice*").splitlines()]
    assert {("losses", "DiceLoss"), ("metrics", "GeneralizedDice")} <= set(dice)
    assert all("dice" in tag.lower() for _, tag in dice)


def test_the_catalog_has_every_area_and_no_alias_twice() -> None:
    found = [entry for entry in catalog() if entry.kind != "presets"]
    assert {entry.kind for entry in found} == set(KINDS)
    assert len({entry.config for entry in found}) == len(found)
    assert "Jaccard" not in {entry.tag for entry in found}


def test_show_gives_the_formula_the_fields_and_their_defaults() -> None:
    text = said("show", "TverskyLoss")
    assert text == said("show", "TverskyLossCfg") == dltools.show("TverskyLoss") + "\n"
    assert text.startswith("losses: TverskyLoss\n\nOne minus the Tversky index, :math:`TP / ")
    assert "  alpha: Unit = 0.5\n      " in text
    assert said("show", "AdamW").count("Loshchilov") == 1
    assert "To write:\n  score(self, counts: 'OverlapCounts') -> 'Tensor'" in said("show", "OverlapLoss")
    assert said("show", "Jaccard").startswith("metrics: IoU\n"), "an alias shows what it names"


@pytest.mark.parametrize(
    ("name", "said_of_it"),
    [
        ("Record", "dltools.cfgutils.record: Record\n\nValidated, read-only fields"),
        ("GroupRuleCfg", "\n  lr_mult: NonNegative = 1.0\n"),
        ("LossCfg", "\n  sync: Literal['none', 'mean', 'sum'] = 'none'\n"),
        ("collect", "collect(tree: 'Source | Mapping[str, Any]', *, "),
        ("curves", "\nExtra: ``plot``.\n"),
    ],
)
def test_show_knows_what_is_no_component(name: str, said_of_it: str) -> None:
    assert said_of_it in said("show", name)


def test_show_and_list_know_the_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    text = said("show", "classification")
    assert text.startswith("preset: classification, of ClassificationPolicy; `dltools run classification [file.yaml] ")
    head, yaml = text.split("\n\ntype: ")
    assert head.endswith("Differs from the defaults in:\n  out=runs/digits, not runs/run")
    assert load(PolicyCfg, f"type: {yaml}") == presets()["classification"]
    found = {"classification": ClassificationPolicyCfg(), "quick": ClassificationPolicyCfg(optim=SGDCfg(lr=0.5))}
    monkeypatch.setattr(classification, "PRESETS", found)
    assert "  nothing\n" in said("show", "classification")
    assert "\n  optim={'type': 'SGD', 'lr': 0.5, " in said("show", "quick")
    assert [line.split()[1] for line in said("list", "presets").splitlines()] == ["classification", "quick"]
    assert (
        said("list", "*", "quic*")
        == "presets      quick                    ClassificationPolicy, to run: dltools run quick\n"
    )


def test_env_names_versions() -> None:
    text = said("env")
    for package in ("dltools", "python", "torch", "numpy", "pydantic"):
        assert f"\n{package} " in "\n" + text
    assert f"dltools                  {dltools.__version__}\n" in text


def test_doctor_finds_this_installation_sound() -> None:
    text = said("doctor")
    assert "ok       a training step on the CPU\n" in text
    assert "FAILED" not in text


def test_doctor_fails_where_no_file_can_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "gone")
    assert "FAILED   the current folder is writable: no file can be made here\n" in said("doctor", status=1)


def test_absent_extras_come_with_their_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_catalog.importlib.util, "find_spec", lambda name: None if name == "ray" else name)
    assert absent_extras() == {"tune": 'pip install "dltools[tune]"'}
    assert 'absent   extra tune: pip install "dltools[tune]"\n' in said("doctor")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "loses"], "no kind 'loses'. Hint: did you mean 'losses'?\n"),
        (["show", "DiceLos"], "no component 'DiceLos'. Hint: did you mean 'DiceLoss'?\n"),
        (["run", "clasification"], "no policy or preset 'clasification'. Hint: did you mean 'classification'?\n"),
        (["run", "classification", "optim.lrr=3"], "optim.lrr=3: optim.lrr: unknown; did you mean 'lr'?\n"),
        (["run", "classification", "optim.lr=fast"], "optim.lr=fast: optim.lr: got 'fast'; input should be a "),
        (["run", "classification", "none.yaml"], "none.yaml cannot be read: "),
        (["run", "classification", "a.yaml", "b.yaml"], "cannot read a.yaml b.yaml. Expected [file.yaml] "),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_a_mistake_is_one_message_and_status_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mistake(monkeypatch, capsys, *words).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_component_that_is_not_there_is_an_error_of_config() -> None:
    with pytest.raises(ConfigError, match=r"no component 'os\.system'"):
        dltools.show("os.system")


def test_a_mistake_comes_with_its_notes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigError("this", hint="that")
    error.add_note("for acc, f1")

    def fail() -> None:
        raise error

    monkeypatch.setattr(command_line, "env", fail)
    assert mistake(monkeypatch, capsys, "env") == "this. Hint: that.\nfor acc, f1\n"


def test_python_m_dltools_is_the_same_command() -> None:
    script = Path(sys.executable).with_name("dltools")
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    for command in ([sys.executable, "-m", "dltools"], [str(script)]):
        done = subprocess.run([*command, "list", "loses"], capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "no kind 'loses'. Hint: did you mean 'losses'?\n"
    done = subprocess.run([sys.executable, "-m", "dltools", "bogus"], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "No such command 'bogus'" in done.stderr
