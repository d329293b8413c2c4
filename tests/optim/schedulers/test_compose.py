from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from dltools.cfgutils import build, dump, load
from dltools.errors import ConfigError
from dltools.optim import (
    ConstantScheduleCfg,
    CosineScheduleCfg,
    ExponentialScheduleCfg,
    LinearScheduleCfg,
    MultiStepScheduleCfg,
    PointsScheduleCfg,
    ProductScheduleCfg,
    ScheduleCfg,
    SequenceScheduleCfg,
)
from tests.optim.schedulers.torchs import torch_values

POINTS = ((2, 1.0), (4, 3.0), (8, 0.0))


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ("linear", [1, 1, 1, 2, 3, 2.25, 1.5, 0.75, 0, 0]),
        ("step", [1, 1, 1, 1, 3, 3, 3, 3, 0, 0]),
        ("cosine", [1, 1, 1, 2, 3, 1.5 + 1.5 * math.sqrt(0.5), 1.5, 1.5 - 1.5 * math.sqrt(0.5), 0, 0]),
    ],
)
def test_points(between: Any, expected: list[float]) -> None:
    schedule = build(PointsScheduleCfg(points=POINTS, between=between))
    assert [schedule(step) for step in range(10)] == pytest.approx(expected, abs=1e-15)


def test_a_warm_up_to_the_first_point() -> None:
    schedule = build(PointsScheduleCfg(points=POINTS, warmup_steps=3))
    assert [schedule(step) for step in (0, 1.5, 3, 4)] == pytest.approx([0, 1, 2, 3])
    assert build(PointsScheduleCfg(points=((5, 0.25),)))(77) == 0.25


@pytest.mark.parametrize("points", [(), ((1, 0.5), (1, 0.6)), ((2, 1.0), (1, 1.0)), ((-1, 1.0),), ((0, -1.0),)])
def test_points_rise(points: Any) -> None:
    with pytest.raises(ConfigError, match="points"):
        PointsScheduleCfg(points=points)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(0, 10))
def test_a_part_starts_where_the_last_one_ended(first: int, second: int, rest: int, warmup: int) -> None:
    parts: tuple[ScheduleCfg[Any], ...] = (
        LinearScheduleCfg(total_steps=first, final=0.5),
        CosineScheduleCfg(total_steps=second, final=0.25),
        ExponentialScheduleCfg(final=0.1, warmup_steps=1, warmup_from=0.5),
    )
    total = warmup + first + second + rest
    schedule = build(SequenceScheduleCfg(parts=parts, warmup_steps=warmup), total)
    single = [build(parts[0]), build(parts[1]), build(parts[2], rest)]
    for step in range(total + 3):
        if step < warmup:
            expected = step / warmup
        elif step < warmup + first:
            expected = single[0](step - warmup)
        elif step < warmup + first + second:
            expected = single[1](step - warmup - first)
        else:
            expected = single[2](min(step, total) - warmup - first - second)
        assert schedule(step) == expected
    assert load(ScheduleCfg, dump(schedule.cfg)) == schedule.cfg


def test_a_sequence_is_torch_s() -> None:
    def torchs(opt: Any) -> Any:
        parts = [lr_scheduler.ConstantLR(opt, 1.0, 0), lr_scheduler.ExponentialLR(opt, 0.5)]
        return lr_scheduler.SequentialLR(opt, parts, milestones=[4])

    parts = (ConstantScheduleCfg(total_steps=4), ExponentialScheduleCfg(total_steps=6, final=0.5**6))
    ours = build(SequenceScheduleCfg(parts=parts))
    assert [ours(step) for step in range(11)] == pytest.approx(torch_values(torchs, 11), rel=1e-12)
    assert ours(99) == ours(10)


def test_a_sequence_fits_into_the_run() -> None:
    with pytest.raises(ConfigError, match=r"total_steps \[None, 3\].*all but the last"):
        SequenceScheduleCfg(parts=(LinearScheduleCfg(), LinearScheduleCfg(total_steps=3)))
    with pytest.raises(ConfigError, match="at least one part"):
        SequenceScheduleCfg(parts=())
    cfg = SequenceScheduleCfg(parts=(LinearScheduleCfg(total_steps=5), LinearScheduleCfg(total_steps=3)))
    assert build(cfg, 8)(5) == build(cfg, 20)(5) == build(cfg)(5) == 1.0
    with pytest.raises(ConfigError, match=r"total_steps is 7, the last part begins at 5.*all parts fit"):
        build(cfg, 7)
    with pytest.raises(ConfigError, match="does not know its total_steps"):
        build(SequenceScheduleCfg(parts=(LinearScheduleCfg(total_steps=5), LinearScheduleCfg())))


@given(st.integers(2, 40), st.integers(1, 39))
def test_a_product(total: int, milestone: int) -> None:
    parts = (LinearScheduleCfg(), MultiStepScheduleCfg(milestones=(milestone,), gamma=0.5))
    schedule = build(ProductScheduleCfg(parts=parts, warmup_steps=1), total)
    assert schedule(0) == 0
    for step in range(1, total + 3):
        expected = (1 - min(step, total) / total) * (0.5 if min(step, total) >= milestone else 1)
        assert schedule(step) == pytest.approx(expected, abs=1e-15)
    with pytest.raises(ConfigError, match="at least one schedule"):
        ProductScheduleCfg(parts=())
