"""An update of any counting metric: no host read, one graph, any device, half precision."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools import metrics as dl
from dltools.cfgutils.config import members
from dltools.metrics import Metric, Metrics
from dltools.metrics.classification.confusion import ConfusionMetricCfg
from tests.hostreads import count_host_reads

for name in dl.__all__:
    getattr(dl, name)
FAMILY = members(ConfusionMetricCfg).values()
CFGS = sorted((cfg for cfg in FAMILY if cfg.__module__.startswith("dltools.")), key=lambda cfg: cfg.__name__)
TASKS = ("binary", "multiclass", "multilabel")


def tasks(cfg: type[Any]) -> list[str]:
    if cfg.__name__ == "ExactMatchCfg":
        return ["multilabel"]
    return list(TASKS[:2] if cfg.__name__ in ("CohenKappaCfg", "MatthewsCorrCoefCfg") else TASKS)


EVERY = [(cfg, task) for cfg in CFGS for task in tasks(cfg)]
every = pytest.mark.parametrize(("cfg", "task"), EVERY, ids=lambda x: x if isinstance(x, str) else x.__name__)
SHARED = [("multiclass", False), ("multiclass", True), ("multilabel", False)]
shared = pytest.mark.parametrize(("task", "per_image"), SHARED)


def built(cfg: type[Any], task: str, **more: Any) -> Metric[Any]:
    metric: Metric[Any] = cfg(task=task, num_classes=2 if task == "binary" else 3, ignore_index=1, **more).build()
    return metric


def batch(task: str, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    gen = torch.Generator().manual_seed(0)
    pred = torch.randn(4, *(() if task == "binary" else (3,)), 5, generator=gen)
    target = torch.randint(-1, 3, (4, 3, 5) if task == "multilabel" else (4, 5), generator=gen)
    valid = torch.tensor([True, False, True, True])
    return pred.to(device), target.to(device), valid.to(device)


def test_there_are_all_leaves() -> None:
    assert {cfg.tag for cfg in CFGS} == {
        *("Accuracy", "BalancedAccuracy", "ClassificationReport", "CohenKappa", "ConfusionMatrix", "ExactMatch"),
        *("F1", "FBeta", "GeneralizedDice", "HammingLoss", "IoU", "MatthewsCorrCoef", "Precision", "Recall"),
        "Specificity",
    }
    assert (dl.Dice, dl.Jaccard, dl.MCC) == (dl.F1, dl.IoU, dl.MatthewsCorrCoef)
    region = importlib.import_module("dltools.metrics.segmentation.region")
    assert (region.Dice, region.IoU, region.GeneralizedDice) == (dl.Dice, dl.IoU, dl.GeneralizedDice)


@every
@pytest.mark.parametrize("per_image", [False, True])
def test_update_reads_nothing_and_runs_on_meta(cfg: type[Any], task: str, per_image: bool) -> None:
    metric = built(cfg, task, per_image=per_image)
    pred, target, valid = batch(task)
    with count_host_reads() as reads:
        metric.update(pred, target)
        metric.update(pred, target, valid=valid)
        metric.step(pred, target, valid=valid)
    assert reads.count == 0
    elsewhere = built(cfg, task, per_image=per_image)
    elsewhere.update(*batch(task, "meta")[:2])
    assert {x.device.type for x in elsewhere.state_dict()["states"].popitem()[1].values()} == {"meta"}


@pytest.fixture
def forget_graphs() -> None:
    """Each case is a graph of the same function; too many of them are refused."""
    torch.compiler.reset()


@every
@pytest.mark.usefixtures("forget_graphs")
def test_update_compiles_to_one_graph(cfg: type[Any], task: str) -> None:
    metric, eager = built(cfg, task), built(cfg, task)

    @torch.compile(fullgraph=True, backend="eager")
    def step(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        metric.update(pred * 2, target, valid=valid)
        return pred + 1

    for _ in range(2):
        step(*batch(task))
        pred, target, valid = batch(task)
        eager.update(pred * 2, target, valid=valid)
    assert same_states(metric, eager)


@shared
@pytest.mark.usefixtures("forget_graphs")
def test_update_compiles_through_autograd_too(task: str, per_image: bool) -> None:
    members: dict[str, Any] = {
        "a": built(dl.ConfusionMatrixCfg, task, per_image=per_image),
        "b": built(dl.IoUCfg, task, holds="probs"),
    }
    metrics, eager = Metrics(members), Metrics(members)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def step(pred: Tensor, target: Tensor) -> Tensor:
        metrics.update(pred * 2, target)
        return (pred + 1).sum()

    pred, target, _ = batch(task)
    for _ in range(12 if per_image else 2):  # growing tables must not be a new graph at each step
        step(pred.requires_grad_(), target).backward()
        eager.update(pred * 2, target)
    assert all(same_states(metrics[name], eager[name]) for name in members)


def same_states(one: Metric[Any], other: Metric[Any]) -> bool:
    mine, its = (metric.state_dict()["states"].popitem()[1] for metric in (one, other))
    return mine.keys() == its.keys() and all(torch.equal(mine[name], its[name]) for name in mine)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_precision_of_scores_will_do(dtype: torch.dtype) -> None:
    for task in TASKS:
        metric, exact = built(dl.ConfusionMatrixCfg, task), built(dl.ConfusionMatrixCfg, task)
        pred, target, _ = batch(task)
        metric.update(pred.to(dtype), target)
        exact.update(pred.to(dtype).double(), target)
        assert same_states(metric, exact)


def test_deterministic_algorithms_are_enough() -> None:
    metric, plain = (built(dl.ConfusionMatrixCfg, "multiclass", per_image=True) for _ in range(2))
    plain.update(*batch("multiclass")[:2])
    torch.use_deterministic_algorithms(True)
    try:
        metric.update(*batch("multiclass")[:2])
    finally:
        torch.use_deterministic_algorithms(False)
    assert same_states(metric, plain)


def test_states_follow_the_data() -> None:
    metric = built(dl.AccuracyCfg, "multiclass")
    with torch.inference_mode():
        metric.update(*batch("multiclass", "meta")[:2])
    assert metric.states.device.type == "meta"
    assert not metric.states["cells"].is_inference()
