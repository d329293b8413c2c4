"""``collect`` over gloo ranks: the value of one process, in as few collectives as promised."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
import torch
import torch.distributed as c10d

from dltools.dist import device, flat_reduce, gather, handshake, rank, world
from dltools.errors import SyncError
from dltools.meters import Ema, Last, Mean, Meters, Range, Rate, Reading, Total, Window, collect
from dltools.states import First, Max, Min, States, Sum, Table
from tests.distributed.calls import Calls
from tests.distributed.spawn import run_ranks


class Counted:
    """A source of one kind of each state."""

    def __init__(self, size: int) -> None:
        self.states = States(
            {
                "hits": Sum(size),
                "low": Min(2),
                "high": Max(2),
                "first": First(),
                "third": First(),
                "rows": Table({"x": torch.float64}),
                "pairs": Table({"x": torch.float32, "i": torch.int64}, rows=2),
                "error": Sum(2, dtype=torch.float64),
            }
        )

    def read(self, s: States) -> dict[str, Reading]:
        rows, pairs = s.table("rows")["x"], s.table("pairs")
        return {
            "hits": Reading(float(s["hits"].sum()), n=1),
            "low": Reading(float(s["low"].min())),
            "high": Reading(float(s["high"].max())),
            "first": Reading(float(s["first"][1]), n=float(s["first"][0])),
            "third": Reading(float(s["third"][1]), n=float(s["third"][0])),
            "error": Reading(float(s["error"].sum())),
            "rows": Reading(float(rows.sum()), n=len(rows), data={"x": rows.numpy(), "i": pairs["i"].numpy()}),
        }


def fill(source: Counted, values: list[float], big: int = 0) -> None:
    many = torch.tensor(values)
    source.states.see("first", many > 0, many)
    source.states.see("third", many == 3, many)
    for value in values:
        source.states["hits"] += int(value)
        source.states.stored("low").clamp_(max=value)
        source.states.stored("high").clamp_(min=value)
        source.states.append("rows", {"x": torch.tensor([value])})
        ends = torch.tensor([10 * value, 10 * value + 1])
        source.states.append("pairs", {"x": ends, "i": ends})
        source.states.add("error", torch.tensor([value, 0.1], dtype=torch.float64))
    source.states["hits"] += big


SHARDS = [[1.0, 5.0], [], [2.0, 3.0, 4.0]]
WHOLE = {"hits": 45.0, "low": 1.0, "high": 5.0, "first": 1.0, "third": 3.0, "rows": 15.0, "error": 15.5}
MIXED = [1.0, 2.0, 5.0, 3.0, 4.0]
"""The samples by their number on a rank, then by rank."""


def meters_of(shard: list[float]) -> Meters:
    meters = Meters(
        {
            "mean": Mean(),
            "strict": Mean("nan"),
            "total": Total(),
            "ema": Ema(0.5),
            "last": Last(),
            "window": Window(2),
            "range": Range(),
            "rate": Rate(),
        }
    )
    for x in shard:
        for name, meter in meters.items():
            meter.update(torch.tensor(x) if name == "total" else x, n=2 if name == "mean" else 1)
    return meters


def collected(me: int) -> dict[str, Any]:
    out: dict[str, Any] = {"place": (rank(), world(), str(device()))}
    for name, size, big in [("small", 3, 0), ("long", 5000, 0), ("large", 3, 2**51 + 1)]:
        source = Counted(size)
        fill(source, SHARDS[me], big)
        with Calls() as calls:
            report = collect({"a": source})
        out[name] = (dict(report), calls.names, {key: x.tolist() for key, x in report.data("a/rows").items()})
        if name == "small":
            out["alone"] = collect({"a": source}, sync=False, reset=True)["a/hits"]
            out["again"] = collect({"a": source})["a/hits"]
    meters = meters_of(SHARDS[me])
    meters["rate"].states.stored("seconds").fill_(me + 1.0)  # in place of the clock
    with Calls() as calls:
        report = collect(meters)
    out["meters"] = dict(report), calls.names, dict(report.n)
    out["gather"] = gather(torch.full((me, 2), float(me))).tolist()
    x = torch.ones(me + 1, requires_grad=True)
    (gather(x, grad=True) * torch.arange(6.0) * (me + 1)).sum().backward()
    out["grad"] = x.grad.tolist() if x.grad is not None else None
    out["plain"] = gather(torch.ones(1, requires_grad=True)).requires_grad
    pair = c10d.new_group([1, 2])
    if me:
        out["pair"] = of_a_pair(me, pair)
    out |= {"merged": merged(me), "different": disagree(me), "store": shake_hands(me), "away": stay_away(me)}
    return out


def of_a_pair(me: int, pair: Any) -> dict[str, Any]:
    """What ranks 1 and 2, which are 0 and 1 of a group of their own, make of it."""
    total, source = Total(), Counted(3)
    total.update(float(me))
    fill(source, SHARDS[0] if me == 1 else SHARDS[2])
    report = collect({"a": source}, group=pair)
    x = torch.ones(me, requires_grad=True)
    (gather(x, group=pair, grad=True) * torch.arange(3.0) * me).sum().backward()
    handshake(pair)
    return {
        "place": (rank(pair), world(pair), str(device(pair))),
        "total": collect(total, group=pair)[""],
        "values": dict(report),
        "rows": report.data("a/rows")["x"].tolist(),
        "gather": gather(torch.full((me,), me), group=pair).tolist(),
        "grad": x.grad.tolist() if x.grad is not None else None,
        "mine": (rank(), world()),
    }


def merged(me: int) -> dict[str, Any]:
    states = States({"hits": Sum(1), "x": Sum(1, dtype=torch.float64)})
    states["hits"] += me + 1
    states.add("x", torch.tensor([0.1 * (me + 1)], dtype=torch.float64))
    parts = [(kind, states.stored(name)) for name, kind in states.layout.items()]
    return dict(zip(states.layout, flat_reduce(parts), strict=True))


def disagree(me: int) -> list[str]:
    seen, start = [], time.monotonic()
    odd = me == 2
    trees: list[dict[str, Any]] = [
        {"a": Total(), "b": Mean()} if odd else {"a": Mean()},
        {"a": Counted(9000 if odd else 3)},
        {"a": Counted(3)} if odd else {"a": Mean()},
        {"a": Counted(3)} if odd else {},
    ]
    for tree in trees:
        with pytest.raises(SyncError) as caught:
            collect(tree)
        seen.append(str(caught.value))
    with pytest.raises(SyncError) as caught:
        flat_reduce([(Sum(me + 1), torch.zeros(me + 1, dtype=torch.int64))])
    assert time.monotonic() - start < 30  # half of the group's timeout: nobody waited for it
    return [*seen, str(caught.value)]


def shake_hands(me: int) -> str:
    for _ in range(3):
        handshake()
    if me:
        return ""
    with pytest.raises(RuntimeError) as caught:
        handshake(timeout=0.2)
    return str(caught.value)


def stay_away(me: int) -> str:
    if me:
        return ""
    with pytest.raises(SyncError) as caught:
        collect({"a": Mean()}, timeout=0.5)
    return str(caught.value)


@pytest.fixture(scope="module")
def three() -> list[dict[str, Any]]:
    return run_ranks(collected, 3)


def test_every_rank_sees_the_value_of_one_process(three: list[dict[str, Any]]) -> None:
    whole = Counted(3)
    fill(whole, MIXED)
    expected = dict(collect({"a": whole}))
    assert expected == {f"a/{name}": value for name, value in WHOLE.items()}
    for i, out in enumerate(three):
        assert out["place"] == (i, 3, "cpu")
        assert out["small"][0] == pytest.approx(expected, rel=1e-12)
        assert out["long"][0]["a/hits"] == 15.0 * 5000
        assert out["alone"] == 3 * sum(SHARDS[i])
        assert out["again"] == 0.0


def test_integers_are_exact_past_what_float64_holds(three: list[dict[str, Any]]) -> None:
    for out in three:
        assert int(out["large"][0]["a/hits"]) == float(45 + 9 * (2**51 + 1))


def test_samples_of_tables_come_in_the_order_of_one_process(three: list[dict[str, Any]]) -> None:
    for out in three:
        assert out["small"][2]["x"] == MIXED
        assert out["small"][2]["i"] == [int(10 * x) + i for x in MIXED for i in (0, 1)]


def test_collectives_are_as_few_as_promised(three: list[dict[str, Any]]) -> None:
    for out in three:
        assert out["small"][1] == ["all_reduce", "all_gather"]
        assert out["long"][1] == ["all_reduce", "all_reduce", "all_gather"]
        assert out["large"][1] == ["all_reduce", "all_reduce", "all_gather"]
        assert out["meters"][1] == ["all_reduce"]


def test_meters_over_ranks(three: list[dict[str, Any]]) -> None:
    ema = {0: (0.5 * 1 * 0.5 + 0.5 * 5) / 0.75, 2: ((2 * 0.25 + 3 * 0.5 + 4) * 0.5) / 0.875}
    for out in three:
        report, _, n = out["meters"]
        assert (report["mean"], n["mean"], report["strict"]) == (3.0, 10, 3.0)
        assert report["total"] == 15.0
        assert (report["range/min"], report["range/max"]) == (1.0, 5.0)
        assert report["last"] == 4.5
        assert report["window"] == pytest.approx((1 + 5 + 3 + 4) / 4)
        assert report["ema"] == pytest.approx((ema[0] * 0.75 + ema[2] * 0.875) / (0.75 + 0.875))
        assert report["rate"] == 15.0 / 3.0


def test_gather_is_ragged_and_sums_the_gradients(three: list[dict[str, Any]]) -> None:
    for me, out in enumerate(three):
        assert out["gather"] == [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0]]
        start = [0, 1, 3][me]
        assert out["grad"] == [6.0 * i for i in range(start, start + me + 1)]


def test_a_part_of_the_ranks_can_collect(three: list[dict[str, Any]]) -> None:
    assert "pair" not in three[0]
    for me in (1, 2):
        pair = three[me]["pair"]
        assert (pair["place"], pair["mine"], pair["total"]) == ((me - 1, 2, "cpu"), (me, 3), 3.0)
        assert pair["values"] == {f"a/{name}": value for name, value in WHOLE.items()}
        assert pair["rows"] == [1.0, 2.0, 5.0, 3.0, 4.0]
        assert pair["gather"] == [1, 2, 2]
        assert pair["grad"] == [[0.0], [3.0, 6.0]][me - 1]


def test_what_is_gathered_without_gradients_has_none(three: list[dict[str, Any]]) -> None:
    assert not any(out["plain"] for out in three)


def test_a_merged_state_loads_in_one_process(three: list[dict[str, Any]]) -> None:
    for out in three:
        states = States({"hits": Sum(1), "x": Sum(1, dtype=torch.float64)})
        states.load_state_dict(out["merged"])
        assert (states["hits"].item(), states["x"].item()) == (6, pytest.approx(0.6, abs=1e-15))


def test_different_sources_are_an_error_on_every_rank(three: list[dict[str, Any]]) -> None:
    first, second, third = (out["different"] for out in three)
    assert first == second == third
    assert "rank 0 and rank 2 collect different states: 'a: Mean" in first[0].replace('"', "'")
    assert "Sum(shape=(3,)" in first[1]
    assert "Sum(shape=(9000,)" in first[1]
    assert "a: Counted" in first[2]
    assert "states: 'nothing more' and" in first[3]
    assert "rank 0 and rank 1 collect different states: 'Sum(shape=(1,)" in first[4].replace('"', "'")


def test_a_rank_that_stays_away_is_named_in_words(three: list[dict[str, Any]]) -> None:
    assert three[0]["away"].startswith("rank 0 waited in vain for the others: ")
    assert three[0]["away"].endswith("Hint: collect() must be called on every rank, in the same order.")
    assert three[0]["store"] == "ranks [1, 2] have not come"


def test_without_a_group_everything_is_this_process() -> None:
    assert (rank(), world(), str(device())) == (0, 1, "cpu")
    x = torch.ones(2)
    assert gather(x) is x
    assert flat_reduce([(Sum(2), x)])[0] is x
    assert math.isnan(collect(Mean())[""])


def test_nccl_wants_tensors_of_this_process_s_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c10d, "is_initialized", lambda: True)
    monkeypatch.setattr(c10d, "get_backend", lambda group: f"cpu:gloo,cuda:{group}")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert str(device("nccl")) == "cuda:3"
    assert str(device("gloo")) == "cpu"
