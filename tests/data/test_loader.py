"""Positions, passes, states and worlds, against the definition written out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.cfgutils import build
from dltools.data import Loader, LoaderCfg, SequentialSamplerCfg, ShuffleSamplerCfg
from dltools.errors import ConfigError, DltoolsError
from dltools.rng import key
from tests.data.sources import key_hex, take

Last = Literal["pad", "drop", "ragged"]
IN_ORDER = SequentialSamplerCfg()


def plain(n: int = 10, **fields: Any) -> Loader:
    return Loader(range(n), **{"batch_size": 4, "sampler": IN_ORDER, **fields})


def by_definition(order: list[int], batch: int, world: int, rank: int, last: Last) -> list[list[tuple[int, int]]]:
    """(position, id) of a rank's batches."""
    out = []
    for start in range(0, len(order), batch * world):
        part = list(enumerate(order))[start : start + batch * world]
        if last == "drop" and len(part) < batch * world:
            continue
        for i in itertools.count():
            if last != "pad" or len(part) % world == 0:
                break
            part.append((start + len(part), order[i % len(order)]))
        out.append(part[rank::world])
    return [part for part in out if part]


@given(
    st.integers(0, 30),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(["pad", "drop", "ragged"]),
    st.integers(0, 3),
)
def test_every_rank_gets_its_positions(n: int, batch: int, world: int, last: Last, epoch: int) -> None:
    sampler = ShuffleSamplerCfg()
    order = sampler.build(n).ids(7, epoch, 0, n).tolist()
    for rank in range(world):
        loader = Loader(range(n), key_hex, batch_size=batch, last=last, seed=7, rank=rank, world=world)
        loader.set_epoch(epoch)
        expected = by_definition(order, batch, world, rank, last)
        found = [list(zip(ids.tolist(), keys, strict=True)) for ids, keys in loader]
        assert found == [[(i, key(7, "sample", epoch, position).hex()) for position, i in part] for part in expected]
        assert len(loader) == len(expected)
        assert loader.state_dict() == {"seed": 7, "epoch": epoch + 1, "consumed": 0}


@pytest.mark.parametrize(("last", "draws", "distinct"), [("pad", 12, 10), ("drop", 8, 8), ("ragged", 10, 10)])
def test_ten_samples_for_four_ranks(last: Last, draws: int, distinct: int) -> None:
    for sampler in (IN_ORDER, ShuffleSamplerCfg()):
        ranks = [plain(sampler=sampler, batch_size=1, last=last, rank=rank, world=4) for rank in range(4)]
        ids = [int(i) for loader in ranks for i in itertools.chain(*loader)]
        assert (len(ids), len(set(ids))) == (draws, distinct)
        if last != "ragged":
            assert {len(loader) for loader in ranks} == {draws // 4}


def test_the_position_counts_what_was_handed_out() -> None:
    for workers in (0, 2):
        loader = plain(workers=workers, pool="thread", prefetch=3)
        states = [loader.state_dict()["consumed"] for _ in loader]
        assert states == [4, 8, 0]
        assert loader.state_dict()["epoch"] == 1
        loader.close()


def test_a_pass_goes_on_from_the_position_and_one_left_by_break_is_over() -> None:
    loader = plain(sampler=ShuffleSamplerCfg())
    epochs = [[int(i) for i in ShuffleSamplerCfg().build(10).ids(0, epoch, 0, 10)] for epoch in range(3)]
    loader.load_state_dict({"seed": 0, "epoch": 0, "consumed": 8})
    assert [batch.tolist() for batch in loader] == [epochs[0][8:]]
    assert take(loader, 2)[1].tolist() == epochs[1][4:8]
    assert loader.state_dict() == {"seed": 0, "epoch": 1, "consumed": 8}
    assert next(iter(loader)).tolist() == epochs[2][:4]
    loader.set_epoch(2)  # it was left: from its start
    assert len(list(loader)) == 3
    for _ in zip(range(3), loader, strict=False):  # left after its last batch
        pass
    assert loader.state_dict() == {"seed": 0, "epoch": 4, "consumed": 0}


def test_an_epoch_set_again_after_a_resume_keeps_the_position() -> None:
    loader = plain()
    loader.load_state_dict({"seed": 0, "epoch": 3, "consumed": 4})
    loader.set_epoch(3)
    assert [batch.tolist() for batch in loader] == [[4, 5, 6, 7], [8, 9]]
    loader.set_epoch(3)
    assert len(list(loader)) == 3


def test_short_epochs_still_visit_everything_once() -> None:
    loader = plain(sampler=ShuffleSamplerCfg(num_samples=5))
    ids = [int(i) for batch in take(loader, 8) for i in batch]
    assert [len(batch) for batch in take(loader, 2)] == [4, 1]
    assert sorted(ids[:10]) == sorted(ids[10:]) == list(range(10))


def test_a_state_goes_on_in_another_world() -> None:
    state = {"seed": 0, "epoch": 0, "consumed": 8}
    ranks = [plain(20, batch_size=2, rank=rank, world=3) for rank in range(3)]
    for loader in ranks:
        loader.load_state_dict(state)
    steps = list(zip(*ranks, strict=True))
    assert sorted(int(i) for step in steps for batch in step for i in batch) == list(range(8, 20))


def test_impossible_states() -> None:
    loader = plain(seed=3)
    for state in (
        {},
        {"seed": 3, "epoch": 0},
        {"seed": 3, "epoch": 0, "consumed": 0, "more": 1},
        {"seed": 4, "epoch": 0, "consumed": 0},
        {"seed": 3, "epoch": -1, "consumed": 0},
        {"seed": 3, "epoch": 0, "consumed": 10},
        {"seed": 3, "epoch": 0, "consumed": -4},
        {"seed": 3, "epoch": 0.5, "consumed": 0},
        {"seed": 3, "epoch": 0, "consumed": True},
    ):
        with pytest.raises(ConfigError):
            loader.load_state_dict(state)  # type: ignore[arg-type]
    assert loader.state_dict() == {"seed": 3, "epoch": 0, "consumed": 0}


def test_bad_configs() -> None:
    for bad in (
        {"rank": 4, "world": 4},
        {"rank": -1, "world": 2},
        {"batch_size": 0},
        {"last": "keep"},
        {"workers": -1},
        {"values": [1]},
    ):
        with pytest.raises(ConfigError):
            plain(**bad)
    with pytest.raises(ConfigError):
        plain().set_epoch(-1)


@pytest.mark.parametrize("end", [iter, Loader.close, lambda loader: loader.set_epoch(9)])
def test_one_loop_at_a_time(end: Callable[[Loader], Any]) -> None:
    loader = plain()
    first = iter(loader)
    next(first)
    end(loader)
    with pytest.raises(DltoolsError, match="is over"):
        next(first)


def test_built_from_a_config_it_is_the_same() -> None:
    cfg = LoaderCfg(batch_size=3, sampler=ShuffleSamplerCfg(num_samples=6), seed=4, last="drop")
    built = build(cfg, range(20), rank=1, world=2)
    direct = Loader(
        range(20), rank=1, world=2, batch_size=3, sampler=ShuffleSamplerCfg(num_samples=6), seed=4, last="drop"
    )
    assert built.cfg == direct.cfg == cfg
    assert all(torch.equal(a, b) for a, b in zip(built, direct, strict=True))
    assert repr(built) == f"build({cfg!r}, range of 20)"
    assert len(plain(0)) == len(list(plain(0))) == 0
