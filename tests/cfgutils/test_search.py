from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from dltools.cfgutils import (
    Record,
    Space,
    build,
    choice,
    dump,
    grid,
    integers,
    load,
    loguniform,
    resolve,
    sample,
    space,
    uniform,
)
from dltools.errors import ConfigError
from tests.cfgutils.families import BrushCfg, DiscCfg, GroupCfg, PenCfg, SceneCfg, StepCfg

OPEN = SceneCfg(
    tool=choice(PenCfg(width=loguniform(1e-4, 1e-1)), BrushCfg(hairs=(0.9, uniform(0.9, 0.999)))),
    shape=GroupCfg(parts={"a": DiscCfg(share=uniform(0, 1))}, weights={"a": uniform(0, 2)}),
    count=integers(1, 5),
    mode=grid("fill", "line"),
)


def test_spaces_are_checked_where_they_are_written() -> None:
    for make, message in [
        (lambda: DiscCfg(share=uniform(0.1, 1.9)), "share: got 1.9"),
        (lambda: DiscCfg(share=choice(0.1, "x")), "share: got 'x'"),
        (lambda: SceneCfg(count=uniform(1, 5)), "count"),
        (lambda: SceneCfg(mode=choice("fill", "full")), "mode"),
        (lambda: SceneCfg(tool=choice(PenCfg(), DiscCfg())), "tool"),
        (lambda: uniform(2, 1), "empty"),
        (lambda: loguniform(0, 1), "0 < low < high"),
        (lambda: integers(1.5, 3), "no range"),  # type: ignore[arg-type]
        (lambda: uniform(0, math.inf), "finite"),
        (lambda: choice(), "at least one option"),
        (lambda: uniform(1, 1), r"uniform\(1, 1\) is empty or no range"),
        (lambda: integers(3, 2), r"integers\(3, 2\) is empty or no range"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make()  # type: ignore[no-untyped-call]


def test_space_lists_conditional_spaces_by_tag() -> None:
    assert space(OPEN) == {
        "shape.parts.a.share": Space("uniform", (0.0, 1.0)),
        "shape.weights.a": Space("uniform", (0.0, 2.0)),
        "tool": Space("choice", (PenCfg(width=loguniform(1e-4, 1e-1)), BrushCfg(hairs=(0.9, uniform(0.9, 0.999))))),
        "tool[Pen].width": Space("loguniform", (1e-4, 1e-1)),
        "tool[Brush].hairs.1": Space("uniform", (0.9, 0.999)),
        "count": Space("integers", (1, 5)),
        "mode": Space("grid", ("fill", "line")),
    }


def test_open_configs_dump_load_and_refuse_to_build() -> None:
    for text in (dump(OPEN), dump(OPEN, "json")):
        assert load(SceneCfg, text) == OPEN
    assert OPEN.is_open
    assert not SceneCfg().is_open
    with pytest.raises(ConfigError, match=r"parts\.a\.share, weights\.a"):
        build(OPEN.shape)
    assert load(SceneCfg, "count: {$integers: [1, 2]}").count == integers(1, 2)
    with pytest.raises(ConfigError, match="text:2: shape.share: got 2"):
        load(SceneCfg, "shape:\n  {type: Disc, share: {$uniform: [0, 2]}}")


def test_a_space_as_a_default_and_inside_an_option() -> None:
    class SearchCfg(Record):
        width: float = uniform(1, 2)
        hairs: tuple[float, float] = (0.5, 0.5)

        def __post_init__(self) -> None:
            if self.width > self.hairs[1]:
                raise ConfigError("too wide")

    cfg = SearchCfg(hairs=choice((0.9, uniform(2, 3)), (1, 1)))
    assert space(cfg) == {
        "width": Space("uniform", (1.0, 2.0)),
        "hairs": Space("choice", ((0.9, uniform(2.0, 3.0)), (1.0, 1.0))),
        "hairs[(0.9, uniform(2.0, 3.0))].1": Space("uniform", (2.0, 3.0)),
    }
    assert (SearchCfg().is_open, SearchCfg(width=0.1).is_open) == (True, False)
    drawn = {"width": 1.5, "hairs": (0.9, uniform(2.0, 3.0)), "hairs[(0.9, uniform(2.0, 3.0))].1": 2.5}
    assert resolve(cfg, drawn) == SearchCfg(width=1.5, hairs=(0.9, 2.5))
    with pytest.raises(ConfigError, match="too wide"):
        resolve(cfg, {"width": 1.5, "hairs": (1.0, 1.0)})


def test_resolve_ignores_branches_not_taken() -> None:
    drawn: dict[str, Any] = {
        "tool": "Pen",
        "tool[Pen].width": 0.01,
        "tool[Brush].hairs.1": 0.95,
        "count": 2,
        "mode": "line",
    }
    drawn |= {"shape.parts.a.share": 0.3, "shape.weights.a": 1}
    closed = resolve(OPEN, drawn)
    assert closed == SceneCfg(
        tool=PenCfg(width=0.01),
        shape=GroupCfg(parts={"a": DiscCfg(share=0.3)}, weights={"a": 1.0}),
        count=2,
        mode="line",
    )
    assert not closed.is_open
    for change, message in [
        ({"tool": "Pencil"}, "tool is 'Pencil'. Expected one of 'Pen', 'Brush'"),
        ({"cuont": 2}, "did you mean 'count'"),
        ({"count": 2.5}, "count: got 2.5"),
    ]:
        with pytest.raises(ConfigError, match=message):
            resolve(OPEN, drawn | change)
    del drawn["tool[Pen].width"]
    with pytest.raises(ConfigError, match=r"'tool\[Pen\]\.width'. Expected loguniform\(0.0001, 0.1\)"):
        resolve(OPEN, drawn)


def test_a_range_may_have_ends_of_two_kinds_and_a_grid_is_one() -> None:
    assert uniform(0, 0.5) == Space("uniform", (0.0, 0.5))
    assert repr(loguniform(1, 2)) == "loguniform(1.0, 2.0)"
    assert (integers(2, 2), choice(None)) == (Space("integers", (2, 2)), Space("choice", (None,)))
    assert isinstance(found := choice([1, 2], [3]), Space)
    assert found.args == ((1, 2), (3,))
    assert (grid(1, 2), choice(1, 2)) == (Space("grid", (1, 2)), Space("choice", (1, 2)))


def test_options_of_one_tag_are_numbered() -> None:
    cfg = SceneCfg(tool=choice(PenCfg(), PenCfg(width=uniform(1, 2))))
    assert list(space(cfg)) == ["tool", "tool[Pen#2].width"]
    assert resolve(cfg, {"tool": "Pen#2", "tool[Pen#2].width": 1.5}).tool == PenCfg(width=1.5)


def test_paths_are_names_of_any_letters() -> None:
    cfg = StepCfg(X=uniform(0, 1))
    assert list(space(cfg)) == ["X"]
    assert resolve(cfg, {"X": 0.5}) == StepCfg(X=0.5)
    with pytest.raises(ConfigError, match="^no search space 'Y'. Hint: "):
        resolve(cfg, {"Y": 0.5})


def test_sample_depends_on_its_own_path_alone() -> None:
    assert sample(OPEN, 3) == sample(OPEN, 3)
    assert sample(OPEN, 3) != sample(OPEN, 4)
    two = sample(SceneCfg(scale=uniform(1, 2), shape=DiscCfg(radius=uniform(1, 2))), 3)
    assert isinstance(two.shape, DiscCfg)
    assert two.scale != two.shape.radius
    assert sample(OPEN, 3).count == sample(SceneCfg(count=integers(1, 5)), 3).count


def test_draws_follow_their_laws() -> None:
    cfg = SceneCfg(scale=loguniform(1e-4, 1e-1), count=integers(1, 4), mode=choice("fill", "line"))
    drawn = [sample(cfg, seed) for seed in range(4000)]
    logs = [math.log10(one.scale) for one in drawn]
    assert stats.kstest(logs, stats.uniform(-4, 3).cdf).statistic < 0.03
    counts = [sum(one.count == n for one in drawn) for n in (1, 2, 3, 4)]
    assert sum(counts) == 4000
    assert stats.chisquare(counts).pvalue > 1e-3
    assert 0.45 < sum(one.mode == "fill" for one in drawn) / 4000 < 0.55
