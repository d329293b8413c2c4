from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltools.cfgutils import Record, uniform
from dltools.errors import ConfigError
from tests.cfgutils.families import BrushCfg, Colour, DiscCfg, GroupCfg, SceneCfg


def refusal(make: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make()
    return str(caught.value)


def test_a_record_is_a_frozen_keyword_only_dataclass() -> None:
    assert dataclasses.is_dataclass(DiscCfg)
    with pytest.raises(dataclasses.FrozenInstanceError):
        DiscCfg().radius = 2.0  # type: ignore[misc]
    assert "by name only" in refusal(lambda: DiscCfg(2.0))  # type: ignore[misc]
    assert [p.kind for p in inspect.signature(DiscCfg).parameters.values()] == [inspect.Parameter.KEYWORD_ONLY] * 2
    assert str(inspect.signature(DiscCfg)) == "(*, radius: 'Positive' = 1.0, share: 'Unit' = 0.5) -> None"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"raduis": 1.0}, "DiscCfg: raduis: unknown; did you mean 'radius'?"),
        ({"radius": "1.0"}, "DiscCfg: radius: got '1.0'; input should be a valid number"),
        ({"radius": True}, "radius: got True; input should be a valid number"),
        ({"radius": 0}, "radius: got 0; input should be greater than 0"),
        ({"share": 1.5}, "share: got 1.5; input should be less than or equal to 1"),
        ({"share": float("nan")}, "share: got nan"),
        ({"share": np.float64("nan")}, "share: got nan"),
        ({"radius": None}, "radius: got None"),
        ({"radius": [1.0]}, "radius: got (1.0,)"),
    ],
)
def test_a_mistake_is_refused_where_it_is_made(fields: dict[str, Any], message: str) -> None:
    assert message in refusal(lambda: DiscCfg(**fields))


@pytest.mark.parametrize(
    ("name", "value"),
    [("count", 2.0), ("count", True), ("count", "3"), ("flag", 1), ("flag", "true"), ("name", 3), ("mode", "full")]
    + [("lines", (1.5,)), ("lines", "12"), ("lines", 3), ("path", 3), ("table", [1]), ("table", {"a": 1.0})],
)
def test_scalars_and_containers_are_strict(name: str, value: Any) -> None:
    assert f"SceneCfg: {name}" in refusal(lambda: SceneCfg(**{name: value}))


def test_all_mistakes_are_reported_together() -> None:
    parts: Any = {"a": {"type": "Disc", "radius": -1, "x": 2}, "b": {"type": "Pen"}, "c": 3, "d": {"radius": 1.0}}
    text = refusal(lambda: GroupCfg(parts=parts, weights={"a": "x", "b": {"share": 3}}))  # type: ignore[dict-item]
    assert text.splitlines() == [
        "GroupCfg: parts.a.radius: got -1; input should be greater than 0",
        "GroupCfg: parts.a.x: unknown; known: radius, share",
        "GroupCfg: parts.b: type is 'Pen' (Pen belongs to ToolCfg), no ShapeCfg; known: Disc, Group",
        "GroupCfg: parts.c: got 3; expected a ShapeCfg",
        "GroupCfg: parts.d: type is missing; say it even of the default; known: Disc, Group",
        "GroupCfg: weights.a: got 'x'; input should be a valid number or type is 'x', no DiscCfg; known: Disc",
        "GroupCfg: weights.b.share: got 3; input should be less than or equal to 1",
    ]


def test_values_are_copied_and_plain() -> None:
    lines, table = [1, 2], {3: np.float32(0.5)}
    cfg = SceneCfg(count=np.int64(4), scale=1, flag=np.bool_(True), lines=lines, table=table, path="a/b")  # type: ignore[arg-type]
    lines.append(3)
    table[4] = np.float32(1)
    assert (cfg.lines, cfg.table, cfg.path) == ((1, 2), {3: 0.5}, Path("a/b"))
    assert [type(v) for v in (cfg.count, cfg.scale, cfg.flag, cfg.table[3])] == [int, float, bool, float]
    for change in (
        lambda m: m.update({1: 2.0}),
        lambda m: m.__setitem__(1, 2.0),
        lambda m: m.pop(3),
        lambda m: m.clear(),
    ):
        with pytest.raises(TypeError, match="read-only"):
            change(cfg.table)


def test_records_hash_compare_copy_and_pickle() -> None:
    cfg = SceneCfg(shape=GroupCfg(parts={"a": DiscCfg()}, row=(DiscCfg(radius=2.0),)), table={1: 2.0})
    same = SceneCfg(shape=GroupCfg(parts={"a": DiscCfg()}, row=[DiscCfg(radius=2.0)]), table={1: 2.0})  # type: ignore[arg-type]
    assert cfg == same
    assert hash(cfg) == hash(same)
    assert pickle.loads(pickle.dumps(cfg)) == cfg == copy.deepcopy(cfg)
    assert cfg != cfg.replace(count=4)
    assert "count: got 'x'" in refusal(lambda: cfg.replace(count="x"))
    assert "did you mean 'count'" in refusal(lambda: cfg.replace(conut=4))


def test_repr_is_source_and_leaves_defaults_out() -> None:
    cfg = SceneCfg(shape=DiscCfg(radius=float("inf")), path=Path("x"), lines=(1,), extra=DiscCfg(share=uniform(0, 1)))
    cfg = cfg.replace(colour=Colour.BLUE)
    assert repr(SceneCfg()) == "SceneCfg()"
    names = {"Path": Path, "uniform": uniform, "DiscCfg": DiscCfg, "Colour": Colour, "SceneCfg": SceneCfg}
    assert eval(repr(cfg), names) == cfg


def test_defaults_are_checked_and_may_be_empty_containers() -> None:
    class Good(Record):
        a: list[int] = []
        b: dict[str, int] = {}

    assert (Good().a, Good().b, hash(Good()) == hash(Good())) == ((), {}, True)

    class Wrong(Record):
        a: int = "x"  # type: ignore[assignment]
        b: int

    assert "Wrong: a: got 'x'" in refusal(lambda: Wrong(b=3))


def test_a_local_record_may_name_local_types_and_an_unknown_one_is_named() -> None:
    class Inner(Record):
        x: int = 1

    class Outer(Record):
        inner: Inner = Inner()

    assert Outer(inner={"x": 2}).inner == Inner(x=2)  # type: ignore[arg-type]

    class Lost(Record):
        inner: Nowhere = None  # type: ignore[name-defined]  # noqa: F821

    assert "'Nowhere' is not defined" in refusal(Lost)


def test_a_check_of_several_fields_speaks_with_the_path() -> None:
    class Range(Record):
        low: int = 0
        high: int = 1

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ConfigError(f"low {self.low} > high {self.high}")

    class Holder(Record):
        range: Range = Range()

    assert refusal(lambda: Range(low=3)) == "Range: low 3 > high 1"
    assert refusal(lambda: Holder(range={"low": 2})) == "Holder: range: low 2 > high 1"  # type: ignore[arg-type]


def test_a_required_field_is_named() -> None:
    class Needy(Record):
        a: int
        b: int = 2

    assert refusal(Needy) == "Needy: a: required, but not given"  # type: ignore[call-arg]
    assert repr(Needy(a=1)) == "Needy(a=1)"

    class Free(Record):
        a: int | None

    assert repr(Free(a=None)) == "Free(a=None)"


def test_tuples_of_fixed_length() -> None:
    assert BrushCfg(hairs=[1, 2]).hairs == (1.0, 2.0)  # type: ignore[arg-type]
    assert "hairs" in refusal(lambda: BrushCfg(hairs=(0.1,)))  # type: ignore[arg-type]


def test_names_that_files_and_methods_need_are_no_fields() -> None:
    for taken in ("build", "include", "is_open", "product", "replace", "tag", "type"):
        with pytest.raises(ConfigError, match=f"WrongCfg has a field {taken!r}. Expected another name"):
            type("WrongCfg", (Record,), {"__annotations__": {taken: "str"}, "__module__": __name__})
