from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dltools.cfgutils import dump, fingerprint, load, override, uniform
from dltools.errors import ConfigError
from tests.cfgutils.families import BrushCfg, Colour, DiscCfg, GroupCfg, PenCfg, SceneCfg, ShapeCfg, StepCfg

number = st.floats(allow_nan=False)
share = st.floats(0, 1)
positive = st.floats(0, exclude_min=True, allow_nan=False)
disc = st.builds(DiscCfg, radius=positive, share=share)
shape = st.recursive(
    disc,
    lambda inner: st.builds(
        GroupCfg,
        parts=st.dictionaries(st.text(max_size=5), inner, max_size=2),
        row=st.lists(inner, max_size=2).map(tuple),
        weights=st.dictionaries(st.text(max_size=5), number | disc, max_size=2),
        other=st.none() | inner,
    ),
    max_leaves=4,
)
scene = st.builds(
    SceneCfg,
    shape=shape,
    tool=st.builds(PenCfg, width=positive) | st.builds(BrushCfg, hairs=st.tuples(number, number)),
    count=st.integers(),
    scale=number,
    mode=st.sampled_from(["fill", "line"]),
    name=st.text()
    | st.sampled_from(["1e-4", "on", "null", "0x1", "~", "1_000", "12:30", "", " a", ".5", "true", "- x"]),
    path=st.sampled_from(["a", "a/b", "."]).map(Path),
    flag=st.booleans(),
    lines=st.lists(st.integers(), max_size=3).map(tuple),
    table=st.dictionaries(st.integers(), number, max_size=3),
    extra=st.none() | disc,
    colour=st.sampled_from(Colour),
)


@given(scene)
def test_load_of_dump_is_equal(cfg: SceneCfg) -> None:
    assert load(SceneCfg, dump(cfg)) == cfg
    assert load(SceneCfg, dump(cfg, "json")) == cfg
    assert load(ShapeCfg, dump(cfg.shape)) == cfg.shape  # type: ignore[type-abstract]


@given(scene)
def test_dumped_json_is_strict_and_both_formats_say_the_same(cfg: SceneCfg) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    tree = json.loads(dump(cfg, "json"), parse_constant=refuse)
    assert tree["name"] == cfg.name
    assert (tree["shape"]["type"], tree["tool"]["type"]) == (cfg.shape.tag, cfg.tool.tag)
    assert yaml.safe_load(dump(cfg))["count"] == cfg.count


def refusal(text: Any, *words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(SceneCfg, text, *words)
    return str(caught.value)


def test_every_mistake_of_a_file_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("count: 7\ntool: {type: Pen, width: 1e-4}\n")
    file = tmp_path / "train.yaml"
    file.write_text(
        "include: base.yaml\nshape:\n  type: Group\n  parts:\n"
        "    a: {type: Disc, raduis: 3}\n    b: {type: Pen}\nnmae: x\nscale: x\n"
    )
    assert refusal(file).splitlines() == [
        f"{file}:5: shape.parts.a.raduis: unknown; did you mean 'radius'?",
        f"{file}:6: shape.parts.b: type is 'Pen' (Pen belongs to ToolCfg), no ShapeCfg; known: Disc, Group",
        f"{file}:8: scale: got 'x'; input should be a valid number",
        f"{file}:7: nmae: unknown; did you mean 'name'?",
    ]
    file.write_text("include: base.yaml\ntool: {width: 2.0}\n")
    assert load(SceneCfg, file) == SceneCfg(count=7, tool=PenCfg(width=2.0)) == load(SceneCfg, str(file))
    file.write_text("include: [base.yaml]\ntool: {type: Brush}\n")
    assert load(SceneCfg, file).tool == BrushCfg()
    (tmp_path / "base.yaml").write_text("include: train.yaml\n")
    assert "train.yaml includes itself. Expected includes without a circle" in refusal(file)
    assert "cannot be read" in refusal(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count: 1\n\tname: x", "text:2: .*indent with spaces, not tabs"),
        ("!!python/object/apply:os.system ['true']", "tag .* is not allowed"),
        ("!!python/name:os.system count: 1", "tag .* is not allowed"),
        ("shape: !!python/name:os.system", "text:1: shape: tag .* is not allowed"),
        ("shape: {type: os.system}", "text:1: shape: type is 'os.system', no ShapeCfg; known"),
        ("shape: {type: 3}", "shape: type is 3"),
        ("shape: {_target_: os.system}", "shape: type is missing"),
        ("count: 1\ncount: 2", "text:1: count: given twice; again in line 2"),
        ("[" * 5000, "nested too deeply"),
        ("a: &a [*a]\nlines: *a", "nested too deeply|contains itself"),
        ("count: .nan", "count"),
        ("scale: .nan", "scale: got nan"),
        ("count: 1.0", "count: got 1.0"),
        ("flag: yes", "flag: got 'yes'"),
        ("count: '3'", "count: got '3'"),
        ("3", "got 3; expected a SceneCfg"),
        ("- 1", r"got \[1\]; expected a SceneCfg"),
        ("? [1]\n: 2", ": a key must be a word or a number$"),
        ("a: [1", "text:1"),
        ("scale: {$uniform: [2, 1]}", "scale: uniform\\(2, 1\\) is empty"),
        ("scale: {$normal: [2, 1]}", "unknown search space 'normal'. Hint: did you mean 'uniform'"),
        ("scale: {$uniform: 3}", "Expected two finite numbers"),
        ("colour: green", "colour: got 'green'; input should be 'red' or 'blue'"),
        ("a\0.yaml", "cannot be read: embedded null byte"),
    ],
)
def test_bad_text_is_refused_and_nothing_is_executed(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(SceneCfg, text)


def test_alias_bombs_end_quickly() -> None:
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    assert "more than 100000 values" in refusal(bomb)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", -float("inf")),
        ("1e999", float("inf")),
        ("0x10", 16),
        ("+3", 3),
    ],
)
def test_numbers_are_those_of_yaml_1_2(text: str, value: float) -> None:
    assert load(SceneCfg, f"scale: {text}").scale == value


def test_json_with_tabs_and_surrogate_pairs() -> None:
    assert load(SceneCfg, '{\n\t"name": "\\ud83d\\ude00",\n\t"count": 2}') == SceneCfg(name="\U0001f600", count=2)


def test_override_takes_words_and_values() -> None:
    cfg = override(SceneCfg(), "shape=Group", "shape.parts={a: Disc}", "shape.parts.a.radius=3", "extra.share=.25")
    assert cfg == SceneCfg(shape=GroupCfg(parts={"a": DiscCfg(radius=3.0)}), extra=DiscCfg(share=0.25))
    assert override(cfg, count=9, **{"shape.parts.a": DiscCfg()}).shape == GroupCfg(parts={"a": DiscCfg()})
    assert override(SceneCfg(tool=BrushCfg()), "tool.hairs.1=.5").tool == BrushCfg(hairs=(0.9, 0.5))
    assert override(SceneCfg(table={3: 1.0}), "table.3=2.5").table == {3: 2.5}
    with pytest.raises(ConfigError, match=r"shpae\.radius=3: shpae: unknown; did you mean 'shape'"):
        override(SceneCfg(), "shpae.radius=3")
    with pytest.raises(ConfigError, match=r"shape\.radius=0: shape\.radius: got 0"):
        override(SceneCfg(), "shape.radius=0")
    with pytest.raises(ConfigError, match=r"no position '2' among 2 values. Hint: give the whole list: path=\[1, 2\]"):
        override(SceneCfg(tool=BrushCfg()), "tool.hairs.2=.5")
    with pytest.raises(ConfigError, match="Expected path=value. Hint: for example loss.alpha=0.3"):
        override(SceneCfg(), "count")
    assert load(SceneCfg, "", "count=2") == SceneCfg(count=2)


def test_words_reach_into_defaults_and_mistakes_of_file_and_words_come_together() -> None:
    assert load(SceneCfg, "count: 2", "tool.width=3", "shape.radius=2") == SceneCfg(
        count=2, tool=PenCfg(width=3.0), shape=DiscCfg(radius=2.0)
    )
    assert load(SceneCfg, "tool: Brush", "tool.hairs.1=.5").tool == BrushCfg(hairs=(0.9, 0.5))
    assert load(SceneCfg, "scale: {$uniform: [1, 2]}", "tool.width=3").scale == uniform(1, 2)
    assert refusal("count: x", "tool=Pencil").splitlines() == [
        "tool=Pencil: tool: type is 'Pencil', no ToolCfg; did you mean 'Pen'?",
        "text:1: count: got 'x'; input should be a valid integer",
    ]


def test_a_file_lies_over_a_base_where_it_names_no_other_type() -> None:
    base = SceneCfg(count=7, scale=uniform(1, 2), tool=BrushCfg(width=3.0), shape=DiscCfg(radius=4.0))
    text = "tool: {hairs: [1, 2]}\nshape: {type: Group}\n"
    assert load(SceneCfg, text, "name=x", base=base) == base.replace(
        tool=BrushCfg(width=3.0, hairs=(1.0, 2.0)), shape=GroupCfg(), name="x"
    )
    assert load(SceneCfg, "", base=base) == base
    assert load(SceneCfg, "count: 1") == SceneCfg(count=1)


def test_words_and_values_that_hold_signs_or_spaces() -> None:
    assert override(SceneCfg(), "name=a=b").name == "a=b"
    cfg = override(SceneCfg(), scale=uniform(1, 2), tool=BrushCfg(width=uniform(1, 2)))
    assert (cfg.scale, cfg.tool) == (uniform(1, 2), BrushCfg(width=uniform(1, 2)))
    for word in ("count", "=3"):
        with pytest.raises(ConfigError, match=f"^'{word}' is no override. Expected path=value"):
            override(SceneCfg(), word)
    with pytest.raises(ConfigError, match="^SceneCfg: count: got 'x'"):
        override(SceneCfg(), count="x")
    assert override(cfg, "count=2", "name=y") == cfg.replace(count=2, name="y")
    assert override(SceneCfg(), "scale={$uniform: [1, 2]}").scale == uniform(1, 2)
    with pytest.raises(ConfigError, match=r"^lines=\[1, :1: "):
        override(SceneCfg(), "lines=[1, ")


def test_words_reach_into_lists_and_numbered_entries() -> None:
    group = GroupCfg(row=(DiscCfg(share=0.1), DiscCfg(share=0.2)))
    assert override(group, "row.1.radius=3").row == (DiscCfg(share=0.1), DiscCfg(share=0.2, radius=3.0))
    rooms = StepCfg(X=1.0, rooms={3: DiscCfg(share=0.1), 4: DiscCfg()})
    assert override(rooms, "rooms.3.radius=2").rooms == {3: DiscCfg(share=0.1, radius=2.0), 4: DiscCfg()}


def test_a_mistake_is_told_where_it_was_made_whatever_words_lie_beside_it() -> None:
    with pytest.raises(ConfigError, match="^text:1: tool: type is 'Pencil'"):
        load(SceneCfg, "tool: {type: Pencil}", "tool.width=3")
    with pytest.raises(ConfigError, match="^text: X: required, but not given"):
        load(StepCfg, "")
    with pytest.raises(ConfigError, match="^text: X 3.0 > end 1.0"):
        load(StepCfg, "", "X=3", "end=1")


def test_a_format_that_nobody_writes_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^format is 'toml'\. Expected yaml or json\.$"):
        dump(SceneCfg(), "toml")  # type: ignore[arg-type]


def test_fingerprint_is_that_of_the_shortest_json() -> None:
    text = '{"hairs":[0.9,1],"type":"Brush","width":2}'
    assert (
        fingerprint(BrushCfg(width=2.0, hairs=(0.9, 1.0))) == hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    )


def test_fingerprint_follows_equality_in_every_process() -> None:
    cfg = SceneCfg(shape=GroupCfg(parts={"a": DiscCfg(), "b": DiscCfg(radius=2.0)}), scale=-0.0)
    same = SceneCfg(shape=GroupCfg(parts={"b": DiscCfg(radius=2.0), "a": DiscCfg()}), scale=0.0)
    assert fingerprint(cfg) == fingerprint(same) != fingerprint(cfg.replace(count=4))
    code = (
        f"from tests.cfgutils.families import *\nfrom dltools.cfgutils import fingerprint\nprint(fingerprint({cfg!r}))"
    )
    root = str(Path(__file__).parents[2])
    for seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        assert run.stdout.strip() == fingerprint(cfg)
