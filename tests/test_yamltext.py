from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from dltools.errors import ConfigError, ConfigProblems
from dltools.yamltext import Lines, digest, file_text, json_text, read_text, yaml_text


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "[1e-4, on, yes, 0o17, 0x1F, 017, 1_000, 12:30, ~, null, '', True, -.inf, 1., .5, -3, \"\\ud83d\\ude00\"]"
    said = [1e-4, "on", "yes", 15, 31, 17, "1_000", "12:30", None, None, "", True, -math.inf, 1.0, 0.5, -3, "😀"]
    assert read_text(text, "text", {}) == said
    assert math.isnan(read_text(".nan", "text", {}))
    assert read_text("", "text", {}) is None


def test_every_path_has_the_line_it_is_first_read_on() -> None:
    where: Lines = {("b",): "above:1"}
    assert read_text("a:\n  - 1\n  - c: 2\nb: 3\n", "x.yaml", where) == {"a": [1, {"c": 2}], "b": 3}
    assert where == {
        (): "x.yaml:1",
        ("a",): "x.yaml:1",
        ("a", "0"): "x.yaml:2",
        ("a", "1"): "x.yaml:3",
        ("a", "1", "c"): "x.yaml:3",
        ("b",): "above:1",
    }


def test_mappings_become_what_the_caller_says_and_all_mistakes_are_told() -> None:
    def pair(made: dict[Any, Any]) -> Any:
        if "bad" in made:
            raise ValueError("bad is bad")
        return sorted(made.items())

    assert read_text("a: {b: 1}", "text", {}, pair) == [("a", [("b", 1)])]
    with pytest.raises(ConfigProblems) as caught:
        read_text("a: {bad: 1}\nc: 1\nc: 2\nd: !!set {}\n", "text", {}, pair)
    assert str(caught.value).splitlines() == [
        "text:1: a: bad is bad",
        "text:2: c: given twice; again in line 3",
        "text:4: d: tag 'tag:yaml.org,2002:set' is not allowed; write plain values and `type: Name`",
    ]


def test_text_that_is_no_yaml_has_its_line() -> None:
    for text, message in [
        ("a: 1\nb: [2", "text:2: expected ',' or ']'"),
        ("a:\n\tb: 1", "text:2: .*indent with spaces, not tabs"),
        ("[" * 3000, "text: nested too deeply, or more than 100000 values"),
        ("a: 1\n---\nb: 2", "text:2: "),
    ]:
        with pytest.raises(ConfigError, match=message):
            read_text(text, "text", {})
    assert read_text('\n {"a":\t1}', "text", {}) == {"a": 1}
    assert read_text("[1,\t2]", "text", {}) == [1, 2]
    with pytest.raises(ConfigError) as caught:
        read_text("b: [2", "text", {})
    assert str(caught.value) == "text:1: expected ',' or ']', but got '<stream end>'"


def test_yaml_keeps_the_order_and_writes_short_lists_in_one_line() -> None:
    tree = {"b": [1, "on", "1e-4"], "a": {"c": [[1], {"d": None}]}, "é": "x\u2028y"}
    text = yaml_text(tree)
    assert text == "b: [1, 'on', '1e-4']\na:\n  c:\n  - [1]\n  - d: null\né: \"x\\Ly\"\n"
    assert read_text(text, "text", {}) == tree
    assert yaml_text([100] * 20).count("\n") == 1


def test_json_has_words_for_infinity_and_nan_outside_of_strings() -> None:
    tree = {"a": [float("inf"), -float("inf"), float("nan")], "Infinity": 'NaN "-Infinity'}
    assert json.loads(json_text(tree)) == {**tree, "a": [float("inf"), -float("inf"), None]}
    assert json_text({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}\n'


def test_digests_follow_equality() -> None:
    assert digest({"a": 1, "b": [2.5]}) == digest({"b": [2.5], "a": 1.0}) != digest({"a": 1, "b": [2]})
    assert digest({"a": -0.0}) == digest({"a": 0})
    assert digest([1, "x"]) == "2a9aede3b04e71b031f17a2cb030d3cc"


def test_a_file_is_read_as_utf_8_or_named(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes("é".encode())
    assert file_text(str(file)) == "é"
    file.write_bytes(b"\xe9")
    for name in (file, tmp_path / "none.yaml"):
        with pytest.raises(
            ConfigError, match=r"(a|none)\.yaml cannot be read: .*Expected a YAML or JSON file in UTF-8"
        ):
            file_text(str(name))
