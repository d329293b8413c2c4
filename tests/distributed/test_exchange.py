"""What an exchange of states sends, merges and refuses, in every case, against a merge by hand."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dltools.dist import FRAME, device, flat_reduce, gather, handshake, rank, world
from dltools.errors import SyncError
from dltools.states import First, Max, Min, State, Sum, Table
from tests.distributed.threads import GROUP, Ranks

KINDS = (
    Sum(2),
    Sum(3, dtype=torch.float64),
    Min(2),
    Max(),
    First("a", "b"),
    Table({"x": torch.int16}, rows=2),
    Sum(1, 2),
)


def stored(kind: State, seed: int) -> Tensor:
    """What a rank has counted."""
    gen = torch.Generator().manual_seed(seed)
    if isinstance(kind, Table):
        rows = torch.randint(0, 4, (), generator=gen) * kind.rows
        return torch.randint(0, 256, (int(rows), *kind.shape[1:]), generator=gen, dtype=torch.uint8)
    if isinstance(kind, First):
        flag = torch.randint(0, 2, (1,), generator=gen)
        return torch.cat([flag, flag * torch.randn(len(kind.names), generator=gen)]).double()
    start = kind.start(torch.device("cpu"))
    return torch.randint(-(2**40), 2**40, start.shape, generator=gen).to(start.dtype)


def by_hand(kind: State, each: list[Tensor]) -> list[Any]:
    """The merge, number by number."""
    if isinstance(kind, Table):
        samples = [(i, r, s) for r, x in enumerate(each) for i, s in enumerate(x.view(-1, kind.rows, x.shape[1]))]
        return [row for _, _, rows in sorted(samples, key=lambda one: one[:2]) for row in rows.tolist()]
    if isinstance(kind, First):
        return next((x.tolist() for x in each if x[0]), each[0].tolist())
    merge: Any = min if isinstance(kind, Min) else max if isinstance(kind, Max) else sum
    return [merge(numbers) for numbers in zip(*(x.flatten().tolist() for x in each), strict=True)]


@given(st.integers(2, 5), st.lists(st.sampled_from(KINDS), max_size=6), st.integers(0, 2**30))
def test_every_rank_gets_the_merge(size: int, kinds: list[State], seed: int) -> None:
    counted = [[stored(kind, seed + 97 * r + i) for i, kind in enumerate(kinds)] for r in range(size)]
    with Ranks(size) as ranks:
        found = ranks.run(lambda me: flat_reduce(list(zip(kinds, counted[me], strict=True)), group=GROUP))
    for merged in found:
        for kind, mine, x, each in zip(kinds, counted[0], merged, zip(*counted, strict=True), strict=True):
            assert (x.dtype, x.shape[1:]) == (mine.dtype, mine.shape[1:])
            assert (x.tolist() if isinstance(kind, Table) else x.flatten().tolist()) == by_hand(kind, list(each))
    has_rows = any(len(x) for each in counted for kind, x in zip(kinds, each, strict=True) if isinstance(kind, Table))
    assert ranks.names == ["all_reduce"] + ["all_gather"] * has_rows
    assert ranks.limits == {None}


@pytest.mark.parametrize(("frame", "size"), [(4096, 2), (4096, 3), (8, 3), (13, 3)])
@pytest.mark.parametrize("tables", [0, 2])
@pytest.mark.parametrize("over", [0, 1, 5000])
def test_a_second_all_reduce_begins_where_the_frame_ends(
    frame: int, size: int, tables: int, over: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FRAME == 4096
    monkeypatch.setattr("dltools.dist.FRAME", frame)
    room = max(frame, 4 * size) - 2 * size - size * (tables + 1)
    table = Table({"x": torch.uint8})
    parts = [(table, torch.zeros(0, 1, dtype=torch.uint8))] * tables
    kind = Sum(max(1, room + over))
    mine = torch.arange(kind.shape[0])
    with Ranks(size) as ranks:
        found = ranks.run(lambda me: flat_reduce([*parts, (Max(1), torch.ones(1).double()), (kind, mine)], group=GROUP))
    assert all(torch.equal(x[-1], mine * size) and x[-2].item() == 1 for x in found)
    payload = size * (tables + 1) + kind.shape[0]
    assert ranks.names == ["all_reduce"] * (1 + (payload > max(frame, 4 * size) - 2 * size))


@pytest.mark.parametrize("each", [(2**51, 2**51 - 1), (-(2**51), -(2**51) + 1), (2**30, -(2**30))])
def test_integers_below_the_limit_go_once(each: tuple[int, int]) -> None:
    kinds = [Sum(1, dtype=torch.float64), Max(), Sum(2)]

    def one(me: int) -> list[Tensor]:
        big = torch.full((2, 1), 2.0**60, dtype=torch.float64)
        return flat_reduce(list(zip(kinds, [big, big[0], torch.tensor([1, each[me]])], strict=True)), group=GROUP)

    with Ranks(2) as ranks:
        found = ranks.run(one)
    assert [x[2].tolist() for x in found] == [[2, sum(each)]] * 2
    assert ranks.names == ["all_reduce"]


@pytest.mark.parametrize(
    "each", [(2**51, 2**51), (-(2**51), -(2**51)), (2**61 + 1, 2**61 + 2), (-(2**61) - 1, -(2**61) - 4), (2**62, -5)]
)
def test_large_integers_go_again_and_stay_exact(each: tuple[int, int]) -> None:
    kinds = [Sum(3), Min(), Sum(1, 2), Sum(1, dtype=torch.float64)]

    def one(me: int) -> list[Tensor]:
        x = [torch.tensor([3, each[me], -7]), torch.ones(1).double(), torch.tensor([[me, 2**26]])]
        return flat_reduce(list(zip(kinds, [*x, torch.ones(2, 1).double()], strict=True)), group=GROUP)

    with Ranks(2) as ranks:
        for x in ranks.run(one):
            assert x[0].tolist() == [6, sum(each), -14]
            assert x[2].tolist() == [[1, 2**27]]
            assert (x[1].tolist(), x[3].tolist()) == ([1.0], [[2.0], [2.0]])
    assert ranks.names == ["all_reduce", "all_reduce"]


@pytest.mark.parametrize(
    ("schemas", "told"),
    [
        (["a\nb", "a\nb", "a\nc\nd"], "rank 0 and rank 2 collect different states: 'b' and 'c'"),
        (["a", "a\nü", "a\nü"], "rank 0 and rank 1 collect different states: 'nothing more' and 'ü'"),
        (["ü\n" * 300 + "x", "ü\n" * 300, "y"], "rank 0 and rank 1 collect different states: 'x' and ''"),
        (["a", "a\n", "a"], "rank 0 and rank 1 collect different states: 'nothing more' and ''"),
    ],
)
def test_other_schemas_are_named_on_every_rank(schemas: list[str], told: str) -> None:
    with Ranks(3) as ranks:
        found = ranks.run(lambda me: flat_reduce([(Sum(), torch.ones(1).long())], group=GROUP, schema=schemas[me]))
    for error in found:
        assert isinstance(error, SyncError)
        assert str(error) == f"{told}. Expected the same metrics, losses and meters, configured alike, on every rank."
    assert ranks.names == ["all_reduce", "all_gather", "all_gather"]


def test_parts_of_other_lengths_are_named_where_the_schemas_are_alike() -> None:
    with Ranks(3) as ranks:
        found = ranks.run(
            lambda me: flat_reduce(
                [(kind := Sum(1 + me // 2), kind.start(torch.device("cpu")))], group=GROUP, schema="a"
            )
        )
    for error in found:
        assert "rank 0 and rank 2 collect different states: '1 numbers' and '2 numbers'" in str(error)


def test_without_a_schema_the_kinds_are_compared() -> None:
    with Ranks(2) as ranks:
        found = ranks.run(
            lambda me: flat_reduce(
                [(Sum(), torch.ones(1).long()), (Sum(me + 1), torch.ones(me + 1).long())], group=GROUP
            )
        )
    one, two = "Sum(shape=(1,), dtype=torch.int64)", "Sum(shape=(2,), dtype=torch.int64)"
    for error in found:
        assert f"rank 0 and rank 1 collect different states: {one!r} and {two!r}" in str(error)


def test_the_time_to_wait_is_passed_on_and_told() -> None:
    parts = [(Sum(), torch.ones(1).long()), (Table({"x": torch.uint8}), torch.ones(2, 1, dtype=torch.uint8))]
    with Ranks(2) as ranks:
        ranks.run(lambda me: flat_reduce(parts, group=GROUP, timeout=7.5))
        assert ranks.names == ["all_reduce", "all_gather"]
        assert ranks.limits == {timedelta(seconds=7.5)}
        late = lambda me: None if me else flat_reduce([(Sum(), torch.ones(1).long())], group=GROUP, timeout=0.05)  # noqa: E731
        error = ranks.run(late)[0]
    assert isinstance(error, SyncError)
    assert str(error) == (
        "rank 0 waited in vain for the others: timed out. "
        "Hint: collect() must be called on every rank, in the same order."
    )


@pytest.mark.parametrize("lengths", [(0, 0), (2, 0, 3), (0, 1), (1, 2, 3, 4)])
@pytest.mark.parametrize("grad", [False, True])
def test_gather_is_ragged_in_rank_order(lengths: tuple[int, ...], grad: bool) -> None:
    size, total = len(lengths), sum(lengths)
    weights = torch.arange(total * 2.0).view(total, 2)

    def one(me: int) -> tuple[Tensor, Tensor | None]:
        x = torch.full((2, lengths[me]), float(me)).T.requires_grad_(grad)
        whole = gather(x, group=GROUP, grad=grad)
        if grad:
            (whole.T * ((me + 1) * weights).T.contiguous()).sum().backward()
        return whole.detach(), x.grad

    with Ranks(size) as ranks:
        found = ranks.run(one)
    start = 0
    for me, (whole, slope) in enumerate(found):
        assert whole.tolist() == [[float(r)] * 2 for r, n in enumerate(lengths) for _ in range(n)]
        if grad:
            assert slope is not None
            assert slope.tolist() == (weights[start : start + lengths[me]] * sum(range(1, size + 1))).tolist()
        start += lengths[me]


def test_gather_without_gradients_keeps_what_it_is_given() -> None:
    with Ranks(2) as ranks:
        found = ranks.run(lambda me: gather(torch.tensor([True, False])[: me + 1], group=GROUP))
        assert [(x.tolist(), x.dtype) for x in found] == [([True, True, False], torch.bool)] * 2
        x = torch.ones(1, requires_grad=True)
        assert not any(y.requires_grad for y in ranks.run(lambda me: gather(x, group=GROUP)))
        assert not any(y.requires_grad for y in ranks.run(lambda me: gather(x, group=GROUP, grad=False)))


def test_gpus_shake_hands_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("dltools.dist.handshake", lambda *given: seen.append(given))
    parts = [(Sum(), torch.ones(1).long())]
    with Ranks(2) as ranks:
        ranks.run(lambda me: flat_reduce(parts, group=GROUP, timeout=3.0))
        assert seen == []
        monkeypatch.setattr("dltools.dist.device", lambda group: torch.device("cuda"))
        ranks.run(lambda me: flat_reduce(parts, group=GROUP, timeout=3.0))  # an error, where there is no GPU
    assert seen == [(GROUP, 3.0)] * 2


def test_place_and_handshakes_belong_to_the_group() -> None:
    def one(me: int) -> Any:
        for _ in range(3):
            handshake(GROUP)
        handshake(GROUP, timeout=5.0)
        return rank(GROUP), world(GROUP), str(device(GROUP))

    with Ranks(3) as ranks:
        assert ranks.run(one) == [(me, 3, "cpu") for me in range(3)]
        store = ranks.distributed_c10d._get_default_store()
        assert [store.check([f"dltools/some/{me}/{turn}"]) for me in range(3) for turn in (1, 2, 3, 4)] == [
            False,
            False,
            False,
            True,
        ] * 3
        assert store.get("dltools/some/2/4") == b""
        start = time.monotonic()
        error = ranks.run(lambda me: me != 1 and handshake(GROUP, timeout=0.3))
        assert [str(one) for one in error] == ["ranks [1] have not come", "False", "ranks [1] have not come"]
        assert time.monotonic() - start < 10
    with Ranks(2, None) as ranks:
        assert ranks.run(lambda me: handshake()) == [None, None]
        assert ranks.distributed_c10d._get_default_store().check(["dltools//0/1", "dltools//1/1"])
