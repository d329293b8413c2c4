"""Small batches wait and are counted together; nobody who looks can tell."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools import metrics as dl
from dltools.metrics import Metrics
from dltools.states.counted import BYTES, MANY
from tests.metrics.scenes import COUNTING, SIZE, part

JOINING = sorted(name for name, (cfg, _) in COUNTING.items() if cfg.build().joins)
joining = pytest.mark.parametrize("name", JOINING)


def waiting(metric: Any) -> int:
    return len(metric.states._waiting.items)


def fed(name: str, times: int = 3) -> Any:
    cfg, make = COUNTING[name]
    metric = cfg.build()
    for i in range(times):
        inputs, named = part(make(), range(i, SIZE, times))
        metric.update(*inputs, **named)
    return metric


def seen(metric: Any) -> dict[str, Tensor]:
    return {name: metric.states.stored(name).clone() for name in metric.states}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.allclose(one[name].double(), other[name].double(), rtol=1e-14, atol=1e-12) for name in other)


@joining
def test_whoever_looks_sees_all(name: str) -> None:
    at_once = fed(name, 1)
    assert waiting(at_once) == 0
    metric = fed(name)
    assert waiting(metric) == 2
    assert same(seen(pickle.loads(pickle.dumps(fed(name)))), seen(at_once))
    assert same(seen(copy.deepcopy(fed(name))), seen(at_once))
    assert same(fed(name).state_dict()["states"].popitem()[1], seen(at_once))
    assert dict(fed(name).compute()) == pytest.approx(dict(at_once.compute()), rel=1e-12, nan_ok=True)
    assert same(seen(metric), seen(at_once))
    assert waiting(metric) == 0


@joining
def test_merged_reset_and_loaded_states_have_no_leftovers(name: str) -> None:
    metric, twice, other = fed(name), fed(name), fed(name)
    twice.merge(other)
    metric.merge(copy.deepcopy(metric))
    assert same(seen(metric), seen(twice))
    gone, loaded = fed(name), fed(name)
    gone.reset()
    assert same(seen(gone), seen(COUNTING[name][0].build()))
    loaded.load_state_dict(metric.state_dict())
    assert same(seen(loaded), seen(metric))


def test_inputs_may_change_after_the_update() -> None:
    loss, hits = dl.LogLoss(), dl.Accuracy(num_classes=3)
    pred, target, valid = torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([True, False])
    for _ in range(3):
        loss.update(pred, target, valid=valid)
        hits.update(pred, target, valid=valid)
    pred.fill_(torch.nan)
    target.fill_(9)
    valid.fill_(True)
    assert loss.compute()["log_loss"] == pytest.approx(math.log(3), abs=1e-7)
    assert hits.compute()["accuracy"] == 1


def test_batches_of_other_shapes_and_dtypes_are_counted_in_their_turn() -> None:
    metric = dl.Accuracy(num_classes=3, holds="labels")
    for shape, dtype in (((2,), torch.int64), ((4,), torch.int64), ((1, 2), torch.uint8), ((3,), torch.int32)):
        metric.update(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype))
    report = metric.compute()
    assert (report["accuracy"], report.n["accuracy"]) == (1, 11)


def test_little_waits() -> None:
    many = dl.AUROC(task="binary")
    for _ in range(MANY + 3):
        many.update(torch.zeros(2), torch.tensor([0, 1]))
    assert waiting(many) == 2
    wide = dl.AUROC(task="binary")
    for _ in range(20):
        wide.update(torch.zeros(9000), torch.ones(9000, dtype=torch.int64))
    assert waiting(wide) * 9000 * 12 <= BYTES
    large = dl.AUROC(task="binary")
    for _ in range(3):
        large.update(torch.zeros(20000), torch.ones(20000, dtype=torch.int64))
    assert waiting(large) == 0
    assert [int(one.states["scores"].sum()) for one in (many, wide, large)] == [2 * (MANY + 3), 180000, 60000]


def test_members_that_share_states_wait_together() -> None:
    metrics = Metrics({"acc": dl.Accuracy(num_classes=3), "f1": dl.F1(num_classes=3)})
    pred, target = torch.eye(3), torch.tensor([0, 1, 1])
    metrics.update(pred, target)
    metrics["f1"].update(pred, target)
    metrics["acc"].update(pred, target)
    assert waiting(metrics["acc"]) == 2
    assert metrics.compute()["acc"] == pytest.approx(2 / 3)
    one = metrics.step(pred, target)
    assert waiting(one["acc"]) == 0
    assert metrics.compute().n["acc"] == 12
