"""A small world of configs that the tests of cfgutils share."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from dltools.cfgutils import Component, Config, Positive, Record, Unit

T_co = TypeVar("T_co", covariant=True)
ShapeCfgT = TypeVar("ShapeCfgT", bound="ShapeCfg[Any]")


class ShapeCfg(Config[T_co]):
    """A family without run-time arguments."""

    def build(self) -> T_co:
        return self.product()(self)


class Shape(Component[ShapeCfgT]):
    pass


class DiscCfg(ShapeCfg["Disc"]):
    radius: Positive = 1.0
    """Distance from the centre to the edge."""
    share: Unit = 0.5


class Disc(Shape[DiscCfg]):
    """A disc."""


class GroupCfg(ShapeCfg["Group"]):
    parts: Mapping[str, ShapeCfg[Any]] = {}
    row: tuple[ShapeCfg[Any], ...] = ()
    weights: Mapping[str, float | DiscCfg] = {}
    other: ShapeCfg[Any] | None = None


class Group(Shape[GroupCfg]):
    """Shapes together."""


class ToolCfg(Config[T_co]):
    """A family whose products need a run-time argument."""

    def build(self, size: int) -> T_co:
        return self.product()(self, size)


class PenCfg(ToolCfg["Pen"]):
    width: Positive = 1e-3


class Pen:
    def __init__(self, cfg: PenCfg, size: int) -> None:
        self.cfg, self.size = cfg, size


class BrushCfg(ToolCfg["Brush"]):
    width: Positive = 0.1
    hairs: tuple[float, float] = (0.9, 0.999)


class Brush(Pen):
    pass


class ScissorsCfg(Config["Disc"]):
    """Names a product, of no family that says how to build it."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class SceneCfg(Record):
    """Everything of a drawing."""

    shape: ShapeCfg[Any] = DiscCfg()
    """What is drawn."""
    tool: ToolCfg[Any] = PenCfg()
    count: int = 3
    scale: float = 1.0
    mode: Literal["fill", "line"] = "fill"
    name: str = "scene"
    path: Path = Path("out")
    flag: bool = False
    lines: tuple[int, ...] = ()
    table: Mapping[int, float] = {}
    extra: DiscCfg | None = None
    colour: Colour = Colour.RED


class StepCfg(Record):
    """Checks its fields together, needs one of them, and has names like signs."""

    X: float
    """The first axis."""
    end: float = 9.0
    rooms: Mapping[int, DiscCfg] = {}

    def __post_init__(self) -> None:
        if self.end < self.X:
            raise ValueError(f"X {self.X} > end {self.end}")
