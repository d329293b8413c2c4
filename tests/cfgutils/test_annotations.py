from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dltools.cfgutils import PositiveInt, Record, Unit, choice, schema, uniform
from dltools.errors import ConfigError
from tests.cfgutils.families import DiscCfg, ShapeCfg


class Mode(enum.Enum):
    FAST = "fast"


def make(annotation: Any, value: Any) -> Any:
    """What a field of this annotation holds; its class is a new one, for whose validator nothing is prepared."""
    fresh: Any = type("Fresh", (Record,), {"__annotations__": {"field": annotation}, "__module__": __name__})
    return fresh(field=value).field


@pytest.mark.parametrize(
    ("annotation", "given", "held"),
    [
        (float, 1, 1.0),
        (float, math.inf, math.inf),
        (float, -math.inf, -math.inf),
        (int | str, "x", "x"),
        (int | None, None, None),
        (Mapping[str, int] | None, {"a": 1}, {"a": 1}),
        (list, [1, "x"], (1, "x")),
        (Sequence[int], [1], (1,)),
        (tuple[int, str], [1, "x"], (1, "x")),
        (tuple, [1, "x"], (1, "x")),
        (dict, {1: "x"}, {1: "x"}),
        (Mapping, {"a": [1]}, {"a": (1,)}),
        (Mapping[int, float], {"3": 1}, {3: 1.0}),
        (Path, "a/b", Path("a/b")),
        (Mode, "fast", Mode.FAST),
        (DiscCfg, {"radius": 2.0}, DiscCfg(radius=2.0)),
        (ShapeCfg[Any], "Disc", DiscCfg()),
        (tuple[ShapeCfg[Any], ...], ["Disc", {"type": "Disc", "share": 1}], (DiscCfg(), DiscCfg(share=1.0))),
        (Unit, uniform(0, 1), uniform(0, 1)),
        (tuple[float, ...], choice((1, 2), (3,)), choice((1.0, 2.0), (3.0,))),
    ],
)
def test_a_field_holds(annotation: Any, given: Any, held: Any) -> None:
    made = make(annotation, given)
    assert (type(made), made) == (type(held), held) or (dict(made) == held and hash(made))


@pytest.mark.parametrize(
    ("annotation", "given", "message"),
    [
        (float, math.nan, "Fresh: field: got nan; input should be greater than or equal to -inf"),
        (Unit, 1.5, "Fresh: field: got 1.5; input should be less than or equal to 1"),
        (PositiveInt, 0, "Fresh: field: got 0; input should be greater than 0"),
        (PositiveInt, uniform(1, 2), "Fresh: field: got 1.0; input should be a valid integer"),
        (
            "int | str",
            1.5,
            "Fresh: field: got 1.5; input should be a valid integer or got 1.5; input",
        ),
        (int | None, "1", "Fresh: field: got '1'; input should be a valid integer"),
        (Mapping[int, float], {"a": 1.0}, "Fresh: field.a: got 'a'; input should be a valid integer"),
        (Mapping[str, float], {1: 1.0}, "Fresh: field.1: got 1; input should be a valid string"),
        (tuple[int, str], [1], "Fresh: field: required, but not given"),
        (tuple[int, ...], [1, "x"], "Fresh: field.1: got 'x'; input should be a valid integer"),
        (Sequence[int], "12", "Fresh: field: got '12'; input should be a valid tuple"),
        (Mode, "slow", "Fresh: field: got 'slow'; input should be 'fast'"),
        (DiscCfg, {"radius": 0}, "Fresh: field.radius: got 0; input should be greater than 0"),
        (
            "ShapeCfg[Any]",
            "Pen",
            "Fresh: field: type is 'Pen' (Pen belongs to ToolCfg), no ShapeCfg",
        ),
        (Unit, uniform(0, 2), "Fresh: field: got 2.0; input should be less than or equal to 1"),
    ],
)
def test_a_field_refuses(annotation: Any, given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(annotation, given)
    assert message in str(caught.value)


def test_the_schema_lets_a_search_space_stand_for_a_value() -> None:
    class Fresh(Record):
        share: Unit = 0.5
        mode: Mode = Mode.FAST
        top: PositiveInt | None = None
        many: Mapping[str, Sequence[int]] = {}
        disc: DiscCfg = DiscCfg()

    made = schema(Fresh)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    space = {"type": "object", "propertyNames": {"pattern": "^[$]"}}
    assert space in made["properties"]["share"]["anyOf"]
    assert [made["properties"][name]["default"] for name in ("share", "mode", "top", "many")] == [0.5, "fast", None, {}]
    assert {"$ref": "#/$defs/DiscCfg"} in made["properties"]["disc"]["anyOf"]
    check = jsonschema.Draft202012Validator(made)
    assert check.is_valid({"share": {"$uniform": [0, 1]}, "many": {"a": [1]}})
    assert not check.is_valid({"share": {"uniform": [0, 1]}})
