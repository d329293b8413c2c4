"""``collect`` over gloo ranks: the value of one process, in as few collectives as promised."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as c10d
from tests.distributed.spawn import run_ranks

from dltools.dist import flat_reduce, gather
from dltools.errors import SyncError
from dltools.meters import Ema, Last, Mean, Meters, Range, Reading, Total, Window, collect
from dltools.states import Max, Min, States, Sum, Table


class Counted:
    """A source of one kind of each state."""

    def __init__(self, size: int) -> None:
        self.states = States({"hits": Sum(size), "low": Min(2), "high": Max(2), "rows": Table({"x": torch.float64})})

    def read(self, s: States) -> dict[str, Reading]:
        rows = s.table("rows")["x"]
        return {
            "hits": Reading(float(s["hits"].sum()), n=1),
            "low": Reading(float(s["low"].min())),
            "high": Reading(float(s["high"].max())),
            "rows": Reading(float(rows.sum()), n=len(rows), data={"x": rows.numpy()}),
        }


class Calls:
    """Counts the collectives of this process."""

    def __enter__(self) -> Calls:
        self.names: list[str] = []
        self.saved = {name: getattr(c10d, name) for name in ("all_reduce", "all_gather")}
        for name, call in self.saved.items():
            setattr(c10d, name, self.spy(name, call))
        return self

    def spy(self, name: str, call: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.names.append(name)
            return call(*args, **kwargs)

        return counted

    def __exit__(self, *error: object) -> None:
        for name, call in self.saved.items():
            setattr(c10d, name, call)


def fill(source: Counted, values: list[float], big: int = 0) -> None:
    for value in values:
        source.states["hits"] += int(value)
        source.states.stored("low").clamp_(max=value)
        source.states.stored("high").clamp_(min=value)
        source.states.append("rows", {"x": torch.tensor([value])})
    source.states["hits"] += big


SHARDS = [[1.0, 5.0], [], [2.0, 3.0, 4.0]]


def collected(rank: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, size, big in [("small", 3, 0), ("long", 5000, 0), ("large", 3, 2**51)]:
        source = Counted(size)
        fill(source, SHARDS[rank], big)
        with Calls() as calls:
            report = collect({"a": source})
        out[name] = (dict(report), calls.names, report.data("a/rows")["x"].tolist())
    mean, total = Mean(), Total()
    for x in SHARDS[rank]:
        mean.update(x, n=2)
        total.update(torch.tensor(x))
    ema, last, window, span = Ema(0.5), Last(), Window(2), Range()
    for x in SHARDS[rank]:
        for meter in (ema, last, window, span):
            meter.update(x)
    meters = Meters({"mean": mean, "total": total, "ema": ema, "last": last, "window": window, "range": span})
    with Calls() as calls:
        out["meters"] = dict(collect(meters)), calls.names
    out["gather"] = gather(torch.full((rank, 2), float(rank))).tolist()
    x = torch.ones(rank + 1, requires_grad=True)
    (gather(x, grad=True) * torch.arange(6.0) * (rank + 1)).sum().backward()
    out["grad"] = x.grad.tolist() if x.grad is not None else None
    return out


@pytest.fixture(scope="module")
def three() -> list[dict[str, Any]]:
    return run_ranks(collected, 3)


def test_every_rank_sees_the_value_of_one_process(three: list[dict[str, Any]]) -> None:
    whole = Counted(3)
    fill(whole, [1.0, 5.0, 2.0, 3.0, 4.0])
    expected = dict(collect({"a": whole}))
    assert expected == {"a/hits": 45.0, "a/low": 1.0, "a/high": 5.0, "a/rows": 15.0}
    for out in three:
        assert out["small"][0] == expected
        assert out["small"][2] == [1.0, 5.0, 2.0, 3.0, 4.0]
        assert out["long"][0]["a/hits"] == 15.0 * 5000
        assert out["large"][0]["a/hits"] == 45.0 + 9 * 2**51


def test_collectives_are_as_few_as_promised(three: list[dict[str, Any]]) -> None:
    for out in three:
        assert out["small"][1] == ["all_reduce", "all_gather"]
        assert out["long"][1] == ["all_reduce", "all_reduce", "all_gather"]
        assert out["large"][1] == ["all_reduce", "all_reduce", "all_gather"]
        assert out["meters"][1] == ["all_reduce"]


def test_meters_over_ranks(three: list[dict[str, Any]]) -> None:
    ema = {0: (0.5 * 1 * 0.5 + 0.5 * 5) / 0.75, 2: ((2 * 0.25 + 3 * 0.5 + 4) * 0.5) / 0.875}
    for out in three:
        report = out["meters"][0]
        assert report["mean"] == 3.0
        assert report["total"] == 15.0
        assert (report["range/min"], report["range/max"]) == (1.0, 5.0)
        assert report["last"] == 4.5
        assert report["window"] == pytest.approx((1 + 5 + 3 + 4) / 4)
        assert report["ema"] == pytest.approx((ema[0] * 0.75 + ema[2] * 0.875) / (0.75 + 0.875))


def test_gather_is_ragged_and_sums_the_gradients(three: list[dict[str, Any]]) -> None:
    for rank, out in enumerate(three):
        assert out["gather"] == [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0]]
        start = [0, 1, 3][rank]
        assert out["grad"] == [6.0 * i for i in range(start, start + rank + 1)]


def disagree(rank: int) -> list[str]:
    seen = []
    for tree in ({"a": Mean()} if rank else {"a": Total(), "b": Mean()}, {"a": Counted(3 + rank)}):
        with pytest.raises(SyncError) as caught:
            collect(tree)
        seen.append(str(caught.value))
    return seen


def test_different_sources_are_an_error_on_every_rank() -> None:
    first, second = run_ranks(disagree, 2)
    assert first == second
    assert "rank 0 and rank 1 collect different states: 'a: Total" in first[0].replace('"', "'")
    assert "Sum(shape=(3,)" in first[1]
    assert "Sum(shape=(4,)" in first[1]


def stay_away(rank: int) -> str:
    if rank:
        return ""
    with pytest.raises(SyncError) as caught:
        collect({"a": Mean()}, timeout=1.0)
    return str(caught.value)


def test_a_rank_that_stays_away_is_named_in_words() -> None:
    assert "collect() must be called on every rank" in run_ranks(stay_away, 2)[0]


def saved(rank: int) -> dict[str, Any]:
    states = States({"hits": Sum(1), "x": Sum(1, dtype=torch.float64)})
    states["hits"] += rank + 1
    states.add("x", torch.tensor([0.1 * (rank + 1)], dtype=torch.float64))
    parts = [(kind, states.stored(name)) for name, kind in states.layout.items()]
    return dict(zip(states.layout, flat_reduce(parts), strict=True))


def test_a_merged_state_loads_in_one_process() -> None:
    for state in run_ranks(saved, 2):
        states = States({"hits": Sum(1), "x": Sum(1, dtype=torch.float64)})
        states.load_state_dict(state)
        assert (states["hits"].item(), states["x"].item()) == (3, pytest.approx(0.3, abs=1e-15))
