from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltools.errors import DltoolsError
from dltools.writers.journal import decode, encode, read_journal, series
from dltools.writers.records import Artifact, Hist, Image, Params, Record, Scalars, Text

AT = (3, "step", 1732112345.123456)
names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in ("step", "time") and not name.startswith("_")
)
numbers = st.one_of(st.floats(), st.integers(-(2**70), 2**70))
heads = st.tuples(st.integers(0, 2**63 - 1), names, st.floats(0, 4e9))


def same(a: object, b: object) -> bool:
    """Equal, in type too, and NaN like NaN."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b and math.copysign(1, a) == math.copysign(1, b)  # type: ignore[arg-type]


@given(head=heads, row=st.dictionaries(names, numbers, max_size=6), rank=st.integers(0, 9))
def test_scalars_come_back_exactly_from_a_strict_line(
    head: tuple[int, str, float], row: dict[str, float], rank: int
) -> None:
    line = encode(Scalars(*head, row), rank)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = json.loads(line, parse_constant=refuse)
    assert text["step"] == head[0]
    assert text.get("_rank", 0) == rank
    found = decode(line)
    assert isinstance(found, Scalars)
    assert (found.step, found.axis, found.time) == head
    assert list(found.values) == list(row)
    assert all(same(found.values[key], value) for key, value in row.items())


def test_the_line_is_as_documented() -> None:
    assert encode(Scalars(3, "step", 1732112345.123456, {"train/loss": 0.5, "n": 64})) == (
        b'{"step":3,"time":1732112345.123456,"train/loss":0.5,"n":64}\n'
    )
    assert encode(Scalars(1, "epoch", 1732112349.0, {"val/iou": math.nan, "val/loss": 0.25}), 2) == (
        b'{"step":1,"_axis":"epoch","_rank":2,"time":1732112349.0,"val/iou":null,"val/loss":0.25,'
        b'"_nonfinite":{"val/iou":"nan"}}\n'
    )
    line = encode(Scalars(*AT, {"a": math.inf, "b": -math.inf, "c": 1e308, "d": 1e308}))
    assert json.loads(line)["_nonfinite"] == {"a": "inf", "b": "-inf"}
    assert "_nonfinite" not in json.loads(encode(Scalars(*AT, {"c": 1e308, "d": 1e308})))


@pytest.mark.parametrize(
    "record",
    [
        Image(*AT, "val/pred", None, "images/val/pred/00000003.png", "a caption"),
        Hist(*AT, "w", (0.0, 0.5, 1.0), (3, 4), 2.5, 1.25, 0.0, 1.0),
        Text(*AT, "note", "two\nlines \u2028 \x00 ü"),
        Params(0, "step", 1.5, {"lr": 0.1, "name": "x", "none": None, "n": 3}, ("val/loss",)),
        Artifact(*AT, "weights", "checkpoints/step-3", "checkpoint"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_other_kinds_come_back(record: Record) -> None:
    assert decode(encode(record)) == record


def test_not_finite_outside_of_scalars() -> None:
    hist = decode(encode(Hist(*AT, "w", (0.0, 1.0), (0,), 0.0, 0.0, math.nan, math.nan)))
    assert isinstance(hist, Hist)
    assert math.isnan(hist.min)
    params = decode(encode(Params(0, "step", 1.0, {"lr": math.inf, "b": 1})))
    assert isinstance(params, Params)
    assert params.params == {"lr": math.inf, "b": 1}


def test_unknown_reserved_keys_and_kinds_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":1,"time":2.0,"_new":[1],"a":1.0}\n{"step":1,"time":2.0,"_kind":"sound","x":"y"}\n')
    assert read_journal(path) == [Scalars(1, "step", 2.0, {"a": 1.0})]


def test_an_unfinished_last_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = encode(Scalars(1, "step", 2.0, {"a": 1.0}))
    for cut in range(len(whole)):
        path.write_bytes(whole + whole[:cut])
        assert len(read_journal(tmp_path)) == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"{", b"[]", b"nonsense", b'{"step":1}', b'{"step":"1","time":2}', b'{"step":true,"time":2}', b"\xff\xfe", b"",
        b'{"step":1,"time":2,"a":"text"}', b'{"step":1,"time":2,"a":NaN}', b'{"step":1,"time":2,"_kind":"text"}',
        b'{"step":1,"time":2,"_nonfinite":{"a":"huge"}}', b'{"step":1,"time":2,"_nonfinite":3}',
        b'{"step":1,"time":2,"_kind":"params","params":3}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = encode(Scalars(1, "step", 2.0, {"a": 1.0}))
    path.write_bytes(whole + bad + b"\n" + whole)
    with pytest.raises(DltoolsError, match=r"metrics\.jsonl:2: "):
        read_journal(path)


def test_no_journal_is_an_error(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(DltoolsError, match="no journal"):
            read_journal(place)


def test_a_folder_gives_the_ranks_in_order(tmp_path: Path) -> None:
    for rank in (10, 2, 0):
        (tmp_path / f"metrics.rank{rank}.jsonl").write_bytes(encode(Scalars(rank, "step", 0.0, {"a": 1.0}), rank))
    (tmp_path / "metrics.cut-1.jsonl").write_bytes(b"garbage\n")
    assert [record.step for record in read_journal(tmp_path)] == [0, 2, 10]


def test_series_sorts_by_step_and_the_last_of_equal_steps_wins() -> None:
    rows = [(5, 1.0), (2, 2.0), (5, 3.0), (0, math.nan)]
    records: list[Record] = [Scalars(step, "step", 0.0, {"a": value, "b": 7}) for step, value in rows]
    records += [Scalars(1, "epoch", 0.0, {"a": 9.0}), Text(1, "step", 0.0, "t", "x")]
    found = series(records)
    x, y = found["a"]
    assert (x.dtype, y.dtype) == (np.int64, np.float64)
    assert x.tolist() == [0, 2, 5]
    np.testing.assert_array_equal(y, [math.nan, 2.0, 3.0])
    assert set(found) == {"a", "b"}
    assert series(records, "epoch")["a"][1].tolist() == [9.0]
    assert series([Scalars(0, "step", 0.0, {"a": 10**400})])["a"][1].tolist() == [math.inf]
