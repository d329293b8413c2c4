from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from dltools.cfgutils import cli, dump, schema
from tests.cfgutils.families import DiscCfg, GroupCfg, SceneCfg, ShapeCfg


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


def test_schema_accepts_what_is_dumped_and_refuses_mistakes() -> None:
    scheme = schema(SceneCfg)
    check = jsonschema.Draft202012Validator(scheme)
    check.check_schema(scheme)
    tree = json.loads(dump(SceneCfg(shape=GroupCfg(parts={"a": DiscCfg()}), extra=DiscCfg()), "json"))
    assert check.is_valid(tree)
    for wrong in ({"cuont": 1}, {"count": "x"}, {"shape": {"type": "Pen"}}, {"shape": {"type": "Disc", "share": 2}}):
        assert not check.is_valid({**tree, **wrong})
    assert scheme["$defs"]["DiscCfg"]["properties"]["radius"]["description"] == "Distance from the centre to the edge."
    assert {"$ref": "#/$defs/GroupCfg"} in schema(ShapeCfg)["anyOf"]
