"""Metrics over gloo ranks: the bits of one process for any split, in few collectives; saving; disagreement."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
import torch
import torch.distributed as c10d
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from dltools import metrics as dl
from dltools.errors import ConfigError, SyncError
from dltools.meters import Report, collect
from dltools.metrics import EvalSampler, Metrics, valid_mask, with_valid
from tests.distributed.calls import Calls
from tests.distributed.spawn import run_ranks

SIZE, CLASSES = 11, 4


def data() -> tuple[Tensor, Tensor]:
    gen = torch.Generator().manual_seed(0)
    return torch.randn(SIZE, CLASSES, 6, generator=gen), torch.randint(-1, CLASSES, (SIZE, 6), generator=gen)


def ten_metrics() -> Metrics:
    fields: dict[str, Any] = {"num_classes": CLASSES, "ignore_index": -1}
    names = ("Accuracy", "BalancedAccuracy", "Precision", "Recall", "F1", "IoU", "MCC", "ConfusionMatrix", "CohenKappa")
    members = {name: getattr(dl, f"{name}Cfg")(**fields) for name in names}
    binary = dl.AccuracyCfg(task="binary", inputs={"pred": "score", "target": "flag"})
    return Metrics({**members, "binary": binary})


def image_metrics() -> Metrics:
    fields: dict[str, Any] = {"num_classes": CLASSES, "ignore_index": -1, "per_image": True}
    return Metrics({"iou": dl.IoUCfg(**fields), "f1": dl.F1Cfg(**fields)})


def count(metrics: Metrics, index: list[int], valid: Tensor | None = None) -> None:
    pred, target = (x[index] for x in data())
    extra = {"score": pred[:, 0], "flag": (target == 0).long()} if "binary" in metrics else {}
    metrics.update(pred, target, valid=valid, **extra)


def facts(report: Report) -> dict[str, Any]:
    """Everything that a report says, to be compared bit by bit."""
    return {
        "values": [(name, value.hex() if value == value else "nan") for name, value in report.items()],
        "n": dict(report.n),
        "classes": {name: report.per_class(name) for name in report if "/image" not in name},
        "data": {name: {key: x.tolist() for key, x in report.data(name).items()} for name in report},
        "ci": report.ci("iou", resamples=50) if "iou" in report else None,
    }


def splits(world: int) -> dict[str, list[list[int]]]:
    whole = list(range(SIZE))
    return {
        "strided": [whole[r::world] for r in range(world)],
        "one": [whole if r == world - 1 else [] for r in range(world)],
        "ragged": [whole[:3], *[whole[3:] if r == 1 else [] for r in range(1, world)]],
    }


def on_rank(rank: int, saved: dict[str, Any] | None) -> dict[str, Any]:
    world = c10d.get_world_size()
    out: dict[str, Any] = {}
    for name, parts in splits(world).items():
        metrics = ten_metrics()
        for i in parts[rank]:
            count(metrics, [i])
        with Calls() as calls:
            out[name] = facts(metrics.compute())
        out[f"{name} calls"] = calls.names
    for even in (True, False):
        metrics, index = image_metrics(), list(EvalSampler(SIZE, even=even))
        mask = valid_mask(SIZE, world, rank) if even else torch.ones(len(index), dtype=torch.bool)
        for at in range(0, len(index), 2):
            count(metrics, index[at : at + 2], mask[at : at + 2])
        out[f"images {even}"] = facts(metrics.compute())
    accuracy = dl.Accuracy(task="binary", holds="labels")
    five = list(zip([1, 1, 1, 1, 0], [1] * 5, strict=True))
    loader: Any = DataLoader(five, batch_size=2, sampler=DistributedSampler(five, shuffle=False))  # type: ignore[arg-type]
    for (pred, target), valid in with_valid(loader):
        accuracy.update(pred, target, valid=valid)
    out["padded"] = accuracy.compute()["accuracy"]
    out["resumed"] = resume(rank, world, saved)
    metrics = ten_metrics()
    count(metrics, splits(world)["strided"][rank][:2])
    out["state"], out["local"] = metrics.full_state_dict(), metrics.state_dict()
    with Calls() as calls:
        step = metrics.step(*data_of(rank), score=torch.zeros(1, 6), flag=torch.zeros(1, 6, dtype=torch.long))
        out["step calls"] = calls.names
    out["step"] = collect({"train": step}).n["train/Accuracy"]
    out["different"] = disagree(rank)
    return out


def data_of(rank: int) -> tuple[Tensor, Tensor]:
    pred, target = data()
    return pred[rank : rank + 1], target[rank : rank + 1].clamp(min=0)


def resume(rank: int, world: int, saved: dict[str, Any] | None) -> Any:
    """Load what a job of two ranks had counted in the middle, and count the rest."""
    if saved is None:
        return None
    metrics = ten_metrics()
    metrics.load_state_dict(saved["state"])
    count(metrics, list(range(4, SIZE))[rank::world])
    refused = ten_metrics()
    with pytest.raises(ConfigError, match=f"one of 2 ranks; there are {world}"):
        refused.load_state_dict(saved["local"])
    return facts(metrics.compute())


def disagree(rank: int) -> list[str]:
    seen, start = [], time.monotonic()
    for odd in (
        {"m": dl.AccuracyCfg(num_classes=3)},
        {"m": dl.AccuracyCfg(num_classes=90)},
        {"m": dl.AccuracyCfg(num_classes=3, ignore_index=1)},
        {"n": dl.AccuracyCfg(num_classes=4)},
        {"m": dl.F1Cfg(num_classes=4)},
    ):
        metrics = Metrics(odd if rank else {"m": dl.AccuracyCfg(num_classes=4)})
        with pytest.raises(SyncError) as caught:
            metrics.compute()
        seen.append(str(caught.value))
        with pytest.raises(SyncError):
            Metrics(odd if rank else {"m": dl.AccuracyCfg(num_classes=5)}).full_state_dict()
    assert time.monotonic() - start < 30  # half of the group's timeout
    return seen


@pytest.fixture(scope="module")
def two() -> list[dict[str, Any]]:
    return run_ranks(on_rank, 2, None)


@pytest.fixture(scope="module")
def three(two: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return run_ranks(on_rank, 3, {"state": two[0]["state"], "local": two[0]["local"]})


def alone(metrics: Metrics, index: list[int]) -> dict[str, Any]:
    count(metrics, index)
    return facts(metrics.compute())


@pytest.mark.parametrize("split", ["strided", "one", "ragged"])
def test_any_split_has_the_bits_of_one_process(two: Any, three: Any, split: str) -> None:
    expected = alone(ten_metrics(), list(range(SIZE)))
    assert len(expected["values"]) == 10
    for out in (*two, *three):
        assert out[split] == expected
        assert out[f"{split} calls"] == ["all_reduce"]


def test_images_over_ranks_are_those_of_one_process(two: Any, three: Any) -> None:
    expected = alone(image_metrics(), list(range(SIZE)))
    for out in (*two, *three):
        assert out["images True"] == out["images False"] == expected


def test_padded_duplicates_count_once(two: Any, three: Any) -> None:
    assert {out["padded"] for out in (*two, *three)} == {0.8}


def test_a_job_goes_on_at_another_world_size(two: Any, three: Any) -> None:
    assert two[0]["state"].keys() == two[1]["state"].keys()
    expected = alone(ten_metrics(), list(range(SIZE)))
    assert [out["resumed"] for out in three] == [expected] * 3
    metrics = ten_metrics()
    metrics.load_state_dict(two[1]["state"])
    count(metrics, list(range(4, SIZE)))
    assert facts(metrics.compute()) == expected
    with pytest.raises(ConfigError, match="one of 2 ranks; there are 1"):
        metrics.load_state_dict(two[1]["local"])


def test_a_step_needs_no_collective_until_it_is_collected(two: Any, three: Any) -> None:
    assert [out["step calls"] for out in (*two, *three)] == [[]] * 5
    assert [out["step"] for out in (*two, *three)] == [12, 12, 18, 18, 18]


def test_different_configs_are_the_same_error_on_every_rank(two: Any, three: Any) -> None:
    for outs in (two, three):
        assert all(out["different"] == outs[0]["different"] for out in outs)
        for said, odd in zip(
            outs[0]["different"], ("num_classes=3", "90", "ignore_index=1", "n: ", "F1Cfg"), strict=True
        ):
            assert "rank 0 and rank 1 collect different states" in said
            assert odd in said
            assert "AccuracyCfg(num_classes=4)" in said


def test_nothing_on_any_rank_is_nan() -> None:
    assert math.isnan(ten_metrics().compute()["IoU"])
