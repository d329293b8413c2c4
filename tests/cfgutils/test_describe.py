from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from dltools.cfgutils import Record, cli, dump, schema
from dltools.cfgutils.describe import help_text
from tests.cfgutils.families import DiscCfg, GroupCfg, SceneCfg, ShapeCfg, StepCfg


def test_cli_reads_files_words_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("count: 7\n")
    assert cli(SceneCfg, [str(base), "shape=Group", "scale=1e-2"]) == SceneCfg(count=7, shape=GroupCfg(), scale=0.01)
    assert cli(SceneCfg, []) == SceneCfg()
    for words, status, text in [
        (["--help"], 0, "shape: ShapeCfg[Any] = DiscCfg()\n      What is drawn."),
        (["count=2", "--print"], 0, "count: 2\n"),
        (["count=x"], 2, "count=x: count: got 'x'"),
        (["--flag"], 2, "--flag"),
        (["none.yaml"], 2, "cannot be read"),
    ]:
        with pytest.raises(SystemExit) as left:
            cli(SceneCfg, words)
        shown = capsys.readouterr()
        assert left.value.code == status
        assert text in (shown.err if status else shown.out)


def test_cli_reads_the_command_line_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "my base.yaml"
    base.write_text("count: 7\n")
    monkeypatch.setattr("sys.argv", ["/some/where/train.py", *str(base).split(), "scale=2.0"])
    assert cli(SceneCfg) == SceneCfg(count=7, scale=2.0)
    monkeypatch.setattr("sys.argv", ["/some/where/train.py", "--print", "count=2"])
    with pytest.raises(SystemExit):
        cli(SceneCfg)
    assert capsys.readouterr().out == dump(SceneCfg(count=2))
    monkeypatch.setattr("sys.argv", ["/some/where/train.py", "none.yaml", "--help"])
    with pytest.raises(SystemExit):
        cli(StepCfg)
    assert capsys.readouterr().out == (
        "usage: train.py [base.yaml] [path=value ...] [--help] [--print]\n\n"
        "Checks its fields together, needs one of them, and has names like signs.\n\n"
        "  X: float\n      The first axis.\n  end: float = 9.0\n  rooms: Mapping[int, DiscCfg] = {}\n"
    )


def test_help_of_a_class_without_docs_or_a_source() -> None:
    made = type("MadeCfg", (Record,), {"__annotations__": {"a": int, "b": float | None}, "__module__": __name__})
    assert help_text(made) == "MadeCfg\n\n  a: int\n  b: float | None"


def test_schema_accepts_what_is_dumped_and_refuses_mistakes() -> None:
    scheme = schema(SceneCfg)
    check = jsonschema.Draft202012Validator(scheme)
    check.check_schema(scheme)
    tree = json.loads(dump(SceneCfg(shape=GroupCfg(parts={"a": DiscCfg()}), extra=DiscCfg()), "json"))
    assert check.is_valid(tree)
    for wrong in ({"cuont": 1}, {"count": "x"}, {"shape": {"type": "Pen"}}, {"shape": {"type": "Disc", "share": 2}}):
        assert not check.is_valid({**tree, **wrong})
    assert scheme["$defs"]["DiscCfg"]["properties"]["radius"]["description"] == "Distance from the centre to the edge."
    assert scheme["description"] == "Everything of a drawing."
    assert scheme["properties"]["tool"]["default"] == {"type": "Pen", "width": 1e-3}
    assert "default" not in schema(StepCfg)["properties"]["X"]
    assert json.dumps(scheme, allow_nan=False)
    assert {"$ref": "#/$defs/GroupCfg"} in schema(ShapeCfg)["anyOf"]
