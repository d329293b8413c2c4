from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.optim import LinearScheduleCfg, Plateau, PlateauCfg, SchedulerCfg, SGDCfg

VALUES = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=60)


def sgd() -> torch.optim.SGD:
    return build(SGDCfg(lr=1.0), [torch.nn.Parameter(torch.zeros(1))])


@given(VALUES, st.integers(0, 4), st.integers(0, 3), st.sampled_from(["min", "max"]), st.sampled_from([0.0, 0.1]))
def test_it_is_torch_s(values: list[float], patience: int, cooldown: int, mode: Any, delta: float) -> None:
    optimizer = sgd()
    theirs = ReduceLROnPlateau(
        optimizer, mode, 0.5, patience, threshold=delta, threshold_mode="abs", cooldown=cooldown, min_lr=0.01, eps=0
    )
    ours = build(
        PlateauCfg(factor=0.5, patience=patience, cooldown=cooldown, min_delta=delta, min_factor=0.01, mode=mode)
    )
    for value in values:
        theirs.step(value)
        ours.observe(value)
        assert ours.factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


@given(VALUES, st.integers(0, 60))
def test_it_goes_on_from_its_state(values: list[float], cut: int) -> None:
    cfg = PlateauCfg(factor=0.5, patience=1, cooldown=1)
    whole, first, second = (build(cfg) for _ in range(3))
    for value in values:
        whole.observe(value)
    for value in values[:cut]:
        first.observe(value)
    second.load_state_dict(first.state_dict())
    for value in values[cut:]:
        second.observe(value)
    assert second.state_dict() == whole.state_dict()


def test_it_multiplies_what_the_schedule_gives() -> None:
    optimizer = sgd()
    cfg = SchedulerCfg(lr=LinearScheduleCfg(total_steps=10), plateau=PlateauCfg(factor=0.5, patience=0))
    scheduler = build(cfg, optimizer)
    scheduler.observe(1.0)
    scheduler.step(2)
    assert scheduler.get_last_lr() == pytest.approx([0.8])
    scheduler.observe(1.0)
    assert scheduler.get_last_lr() == pytest.approx([0.4])
    state = scheduler.state_dict()
    assert (state["step"], state["plateau"]["factor"]) == (2, 0.5)

    other = build(cfg, sgd())
    other.load_state_dict(state)
    other.step(3)
    assert other.get_last_lr() == pytest.approx([0.25])
    alone = build(SchedulerCfg(plateau=PlateauCfg(factor=0.5, patience=0)), sgd())
    for _ in range(3):
        alone.observe(1.0)
    assert alone.get_last_lr() == [0.25]


def test_a_state_of_another_config_is_honoured() -> None:
    plain, watching = SchedulerCfg(lr=LinearScheduleCfg(total_steps=4)), SchedulerCfg(plateau=PlateauCfg(patience=0))
    old, new = build(plain, sgd()), build(watching, sgd())
    old.step(2)
    new.load_state_dict(old.state_dict())
    assert (new.last_epoch, new.get_last_lr()) == (2, [1.0])
    old.load_state_dict(new.state_dict())
    assert old.get_last_lr() == [0.5]


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match=r"observe\(\) without a plateau.*PlateauCfg"):
        build(SchedulerCfg(), sgd()).observe(1.0)
    with pytest.raises(ConfigError, match="factor"):
        PlateauCfg(factor=1.5)
    with pytest.raises(ConfigError, match="plateau's state"):
        Plateau().load_state_dict({"factor": 1.0})
