"""Spikes are skipped: the same decisions as a loop written out in plain Python."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.handlers import SkipNonFiniteCfg, SkipSpikeCfg, StepHandlerCfg
from tests.distributed.spawn import run_ranks
from tests.handlers.models import batch, mlp
from tests.hostreads import count_host_reads

values = st.lists(st.floats(0.5, 2) | st.floats(5, 1000) | st.sampled_from([math.nan, math.inf]), max_size=60)


def by_hand(xs: list[float], window: int, sigma: float, least: int, floor: float, in_row: int) -> list[bool]:
    history, skips, made = list[float](), 0, []
    for x in xs:
        if not math.isfinite(x):
            made.append(True)
            continue
        recent = history[-window:]
        spike = False
        if len(recent) >= least:
            mean, std = statistics.fmean(recent), statistics.stdev(recent)
            spike = x > mean + sigma * max(std, floor * abs(mean))
        if spike and skips < in_row:
            skips += 1
            made.append(True)
            continue
        history = [x] if skips >= in_row else [*history, x]
        skips = 0
        made.append(False)
    return made


@given(values, st.integers(2, 8), st.floats(0.5, 6), st.integers(2, 8), st.floats(0, 1), st.integers(1, 4))
def test_decisions(xs: list[float], window: int, sigma: float, least: int, floor: float, in_row: int) -> None:
    least = min(least, window)
    cfg = SkipSpikeCfg(window=window, sigma=sigma, min_history=least, floor=floor, max_in_row=in_row)
    skip = build(cfg)
    found = [bool(skip(torch.tensor(x, dtype=torch.float64), None)) for x in xs]
    assert found == by_hand(xs, window, sigma, least, floor, in_row)


@given(values, st.integers(0, 60))
def test_it_goes_on_from_its_state(xs: list[float], cut: int) -> None:
    cfg = SkipSpikeCfg(window=4, min_history=2, max_in_row=2)
    whole, first, second = (build(cfg) for _ in range(3))
    expected = [whole(torch.tensor(x), None).item() for x in xs]
    found = [first(torch.tensor(x), None).item() for x in xs[:cut]]
    second.load_state_dict(first.state_dict())
    found += [second(torch.tensor(x), None).item() for x in xs[cut:]]
    assert found == expected


@given(values, st.integers(0, 60), st.integers(2, 9), st.integers(2, 9))
def test_a_window_changed_on_resume_keeps_the_latest_values(xs: list[float], cut: int, old: int, new: int) -> None:
    first = build(SkipSpikeCfg(window=old, min_history=2, sigma=1e9))
    second = build(SkipSpikeCfg(window=new, min_history=2, sigma=1.0))
    skipped = [bool(first(torch.tensor(x, dtype=torch.float64), None)) for x in xs[:cut]]
    second.load_state_dict(first.state_dict())
    history = [x for x, skip in zip(xs[:cut], skipped, strict=True) if not skip][-old:][-new:]
    expected = build(SkipSpikeCfg(window=new, min_history=2, sigma=1e9))
    for x in history:
        expected(torch.tensor(x, dtype=torch.float64), None)
    other = build(SkipSpikeCfg(window=new, min_history=2, sigma=1.0))
    other.load_state_dict(expected.state_dict())
    found = [second(torch.tensor(x), None).item() for x in xs[cut:]]
    assert found == [other(torch.tensor(x), None).item() for x in xs[cut:]]


def test_what_is_looked_at_cannot_change_on_resume() -> None:
    state = build(SkipSpikeCfg(of="loss")).state_dict()
    with pytest.raises(ConfigError, match=r"that of a SkipSpike of='loss'.*of='grad_norm'"):
        build(SkipSpikeCfg()).load_state_dict(state)


def test_by_loss() -> None:
    skip = build(SkipSpikeCfg(of="loss", window=4, min_history=2))
    norm = torch.tensor(1.0)
    found = [skip(norm, torch.tensor(x)).item() for x in (1.0, 1.0, 9.0, 1.0)]
    assert found == [0, 0, 1, 0]
    assert skip(norm, None).item() == 0  # a flush has no loss
    bad = torch.tensor(math.nan)
    assert [skip(bad, torch.tensor(1.0)).item(), skip(norm, bad).item()] == [1, 1]


def test_in_a_step_nothing_is_read_on_the_host() -> None:
    net = mlp(torch.float32)
    skips = (SkipNonFiniteCfg(), SkipSpikeCfg(min_history=2, window=4, sigma=3.0))
    step = build(StepHandlerCfg(skip=skips), net, torch.optim.AdamW(net.parameters(), fused=True))
    x, y = batch(4, torch.float32)
    infos = []
    for scale in (1.0, 1.0, 1.0, 100.0, 1.0):
        loss = (net(x) - y).square().mean() * scale
        with count_host_reads() as reads:
            infos.append(step(loss))
        assert reads.count == 0
    assert [info.skipped.item() for info in infos if info.skipped is not None] == [0, 0, 0, 1, 0]


def ranks_agree(rank: int) -> list[float]:
    """A loss that spikes on one rank only."""
    net = mlp(torch.float32)
    model = torch.nn.parallel.DistributedDataParallel(net)
    cfg = StepHandlerCfg(skip=(SkipSpikeCfg(of="loss", min_history=2, window=4),))
    step = build(cfg, model, torch.optim.AdamW(net.parameters(), fused=True))
    made = []
    for n in range(5):
        x, y = batch(4, torch.float32, seed=n)
        loss = (model(x) - y).square().mean() * 0 + 1.0 + 99.0 * (n == 3 and rank == 1)
        info = step(loss)
        assert info.skipped is not None
        made.append(info.skipped.item())
    return made


def test_ranks_skip_together() -> None:
    assert run_ranks(ranks_agree, 2) == [[0, 0, 0, 1, 0]] * 2


@pytest.mark.parametrize(
    "fields", [{"sigma": 0.0}, {"min_history": 1}, {"max_in_row": 0}, {"floor": -1.0}, {"window": 0}, {"of": "norm"}]
)
def test_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        SkipSpikeCfg(**fields)
    with pytest.raises(ConfigError, match=r"min_history is 64, window 8"):
        SkipSpikeCfg(window=8)
