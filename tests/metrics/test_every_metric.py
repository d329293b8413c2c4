"""What holds for every metric: any batches and any split over ranks give the same; nothing is read from the device."""

from __future__ import annotations

import copy
import math
import pickle
import random
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools import metrics as dl
from dltools.cfgutils import build
from dltools.meters import collect
from dltools.metrics import EvalSampler, Metric, Metrics, valid_mask
from tests.distributed.calls import Calls
from tests.distributed.spawn import run_ranks
from tests.hostreads import count_host_reads
from tests.metrics.scenes import COUNTING, EVERY, SIZE, part
from tests.strategies import subclasses

counting = pytest.mark.parametrize("name", COUNTING)
every = pytest.mark.parametrize("name", EVERY)


def feed(metric: Any, name: str, index: Sequence[int], valid: Tensor | None = None) -> None:
    inputs, named = part(EVERY[name][1](), index)
    metric.update(*inputs, valid=valid, **named)


def values(metric: Any) -> dict[str, float]:
    return dict(metric.compute())


def close(found: dict[str, float], wanted: dict[str, float]) -> bool:
    return found.keys() == wanted.keys() and list(found.values()) == pytest.approx(
        list(wanted.values()), rel=1e-12, abs=1e-12, nan_ok=True
    )


def test_no_metric_is_missing_here() -> None:
    exported = {getattr(dl, name) for name in dl.__all__ if isinstance(getattr(dl, name), type)}
    concrete = {cls for cls in exported if issubclass(cls, Metric) and hasattr(cls, "config") and cls.config.tag}
    assert {cls.__name__ for cls in concrete} == set(EVERY)
    assert concrete <= set(subclasses(Metric))


@every
def test_any_batches_give_the_same(name: str) -> None:
    whole = build(EVERY[name][0])
    feed(whole, name, range(SIZE))
    wanted = values(whole)
    assert not all(map(math.isnan, wanted.values()))
    order = list(range(SIZE))
    random.Random(0).shuffle(order)
    for indices in ([[i] for i in range(SIZE)], [order[:4], order[4:5], order[5:]]):
        pieces = build(EVERY[name][0])
        for index in indices:
            feed(pieces, name, index)
        assert close(values(pieces), wanted)


@every
def test_what_is_padded_adds_nothing(name: str) -> None:
    plain, padded = build(EVERY[name][0]), build(EVERY[name][0])
    feed(plain, name, range(7))
    feed(padded, name, range(SIZE), torch.arange(SIZE) < 7)
    assert close(values(padded), values(plain))


@every
def test_saving_merging_and_copies(name: str) -> None:
    whole, first, second, loaded = (build(EVERY[name][0]) for _ in range(4))
    feed(whole, name, range(SIZE))
    feed(first, name, range(5))
    feed(second, name, range(5, SIZE))
    loaded.load_state_dict(copy.deepcopy(first.state_dict()))
    again = pickle.loads(pickle.dumps(first))
    for one in (first, loaded, again):
        one.merge(second)
        assert close(values(one), values(whole))
    whole.reset()
    assert close(values(whole), values(build(EVERY[name][0])))


@every
def test_a_step_is_counted_once_and_given_alone(name: str) -> None:
    metric, alone, whole = (build(EVERY[name][0]) for _ in range(3))
    feed(metric, name, range(5))
    inputs, named = part(EVERY[name][1](), range(5, SIZE))
    one = metric.step(*inputs, **named)
    feed(alone, name, range(5, SIZE))
    feed(whole, name, range(SIZE))
    assert close(dict(collect({alone.lone_name: one})), values(alone))
    assert close(values(metric), values(whole))


@counting
def test_updates_read_nothing_and_run_without_data(name: str) -> None:
    metric = build(COUNTING[name][0])
    feed(metric, name, range(SIZE))
    with count_host_reads() as reads:
        feed(metric, name, range(SIZE))
    assert reads.count == 0
    meta = build(COUNTING[name][0])
    inputs, named = COUNTING[name][1]()
    meta.update(*(x.to("meta") for x in inputs), **{key: x.to("meta") for key, x in named.items()})
    assert all(meta.states.stored(key).is_meta for key in meta.states)


@counting
def test_updates_compile_to_one_graph(name: str) -> None:
    torch._dynamo.reset()
    plain, metric = build(COUNTING[name][0]), build(COUNTING[name][0])
    feed(plain, name, range(SIZE))
    inputs, named = COUNTING[name][1]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compile(metric.update, fullgraph=True, backend="eager")(*inputs, **named)
    assert close(values(metric), values(plain))


@counting
def test_half_casts_of_a_model_leave_states_alone(name: str) -> None:
    metric = build(COUNTING[name][0])
    holder = torch.nn.Linear(1, 1)
    holder.metric = metric
    feed(metric, name, range(5))
    before = {key: metric.states.stored(key).clone() for key in metric.states}
    holder.half()
    assert "metric" not in " ".join(holder.state_dict())
    for key, old in before.items():
        assert metric.states.stored(key).dtype == old.dtype
        assert torch.equal(metric.states.stored(key), old)


def splits(world: int) -> dict[str, list[list[int]]]:
    """Samples of each rank: evenly, raggedly, one rank empty."""
    rng = random.Random(world)
    ragged = [rng.randrange(world) for _ in range(SIZE)]
    return {
        "even": [list(range(r, SIZE, world)) for r in range(world)],
        "ragged": [[i for i in range(SIZE) if ragged[i] == r] for r in range(world)],
        "empty": [list(range(SIZE)) if r == world - 1 else [] for r in range(world)],
    }


def grouped() -> dict[str, Metrics]:
    """All metrics, in collections of those that take the same inputs: what shares states is counted and sent once."""
    members: dict[str, dict[str, Any]] = {}
    for name, (cfg, make) in EVERY.items():
        members.setdefault(make.__name__, {})[name] = cfg
    return {make: Metrics(cfgs) for make, cfgs in members.items()}


def feed_all(groups: dict[str, Metrics], index: Sequence[int], valid: Tensor | None = None) -> None:
    for metrics in groups.values():
        feed(metrics, next(iter(metrics)), index, valid)


def collect_all(groups: dict[str, Metrics]) -> dict[str, float]:
    return dict(collect({name: metric for metrics in groups.values() for name, metric in metrics.items()}))


def on_a_rank(rank: int, world: int, saved: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    going_on = grouped()
    if saved is not None:
        for make, metrics in going_on.items():
            metrics.load_state_dict(saved[make])
    feed_all(going_on, range(0 if saved is None else 6, 6 if saved is None else SIZE)[rank::world])
    found["gone on"] = collect_all(going_on)
    if saved is None:
        found["saved"] = {make: metrics.full_state_dict() for make, metrics in going_on.items()}
    for kind, indices in splits(world).items():
        groups = grouped()
        for i in range(0, len(indices[rank]), 3):
            feed_all(groups, indices[rank][i : i + 3])
        with Calls() as calls:
            found[kind] = collect_all(groups)
        found[f"{kind} calls"] = calls.names
    padded = grouped()
    feed_all(padded, list(EvalSampler(SIZE, rank=rank, world=world)), valid_mask(SIZE, world, rank))
    found["padded"] = collect_all(padded)
    return found


@pytest.fixture(scope="module")
def jobs() -> dict[int, list[dict[str, Any]]]:
    """Of two ranks; and of three that go on from what the two had counted of six samples."""
    two = run_ranks(on_a_rank, 2, 2, None, seconds=120)
    return {2: two, 3: run_ranks(on_a_rank, 3, 3, two[1]["saved"], seconds=120)}


@pytest.fixture(scope="module")
def wanted() -> dict[str, float]:
    whole = {name: build(cfg) for name, (cfg, _) in EVERY.items()}
    for name, metric in whole.items():
        feed(metric, name, range(SIZE))
    return dict(collect(whole))


def differ(found: dict[str, float], wanted: dict[str, float]) -> dict[str, tuple[float, float]]:
    return {k: (x, wanted[k]) for k, x in found.items() if not close({k: x}, {k: wanted[k]})}


@pytest.mark.parametrize("world", [2, 3])
def test_any_split_over_ranks_gives_the_same(jobs: Any, wanted: dict[str, float], world: int) -> None:
    for found in jobs[world]:
        for kind in ("even", "ragged", "empty", "padded"):
            assert not differ(found[kind], wanted), kind
        assert all(sorted(set(found[f"{kind} calls"])) == ["all_gather", "all_reduce"] for kind in splits(world))
        assert all(len(found[f"{kind} calls"]) == 3 for kind in splits(world))


def test_what_a_job_has_counted_goes_on_at_any_world_size(jobs: Any, wanted: dict[str, float]) -> None:
    assert all(not differ(found["gone on"], wanted) for found in jobs[3])
    alone = grouped()
    for make, saved in jobs[2][0]["saved"].items():
        alone[make].load_state_dict(saved)
    feed_all(alone, range(6, SIZE))
    assert not differ(collect_all(alone), wanted)


def of_classes(rank: int) -> list[str]:
    make = COUNTING["F1"][1]
    metrics = Metrics({name: cfg for name, (cfg, inputs) in COUNTING.items() if inputs is make})
    inputs, _ = make()
    metrics.update(*inputs)
    with Calls() as calls:
        metrics.compute()
    return [str(len(metrics)), *calls.names]


def test_a_collection_of_small_metrics_is_one_collective() -> None:
    for number, *calls in run_ranks(of_classes, 2):
        assert int(number) > 15
        assert calls == ["all_reduce"]
