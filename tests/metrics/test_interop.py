"""torchmetrics inside of Metrics, on one process and on two; metrics of dltools in its clothes."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.errors import ConfigError
from dltools.meters import collect
from dltools.metrics import F1, Accuracy, AccuracyCfg, Metrics, as_torchmetrics, wrap
from tests.distributed.calls import Calls
from tests.distributed.spawn import run_ranks

tm = pytest.importorskip("torchmetrics")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Metric `Spearman"),  # keeps all pairs
    pytest.mark.filterwarnings("ignore:The ``compute`` method"),  # after reset
]
SIZES = (3, 5, 2, 7)


def theirs() -> dict[str, Any]:
    """Sums, lists of rows, maxima, several values."""
    return {
        "acc": tm.Accuracy(task="multiclass", num_classes=4, average="macro"),
        "auroc": tm.AUROC(task="multiclass", num_classes=4),
        "each": tm.Recall(task="multiclass", num_classes=4, average="none"),
        "spearman": tm.SpearmanCorrCoef(),
        "max": tm.MaxMetric(),
        "min": tm.MinMetric(),
        "several": tm.MetricCollection({"f": tm.F1Score(task="multiclass", num_classes=4)})["f"],
    }


def batches() -> list[tuple[Tensor, Tensor]]:
    gen = torch.Generator().manual_seed(0)
    return [
        (torch.randn(n, 4, generator=gen).softmax(1), torch.randint(0, 4, (n,), generator=gen)) for n in (3, 5, 2, 7)
    ]


def feed(name: str, metric: Any, batch: tuple[Tensor, Tensor], **named: Any) -> None:
    pred, target = batch
    if name in ("max", "min"):
        metric.update(pred[:, 0], **named)
    elif name == "spearman":
        metric.update(pred[:, 0].contiguous(), target.float(), **named)
    else:
        metric.update(pred, target, **named)


def expected() -> dict[str, list[float]]:
    made = {}
    for name, metric in theirs().items():
        for batch in batches():
            feed(name, metric, batch)
        made[name] = metric.compute().double().reshape(-1).tolist()
    return made


def test_the_same_values() -> None:
    wanted = expected()
    for name, metric in theirs().items():
        mine = wrap(metric)
        assert math.isnan(mine.compute()["wrapped"])
        for batch in batches():
            feed(name, mine, batch)
        again = pickle.loads(pickle.dumps(copy.deepcopy(mine)))
        for one in (mine, again):
            assert list(one.compute().values()) == pytest.approx(wanted[name], rel=1e-6)
        assert metric._update_count == 0
        saved = wrap(theirs()[name])
        saved.load_state_dict(mine.state_dict())
        assert list(saved.compute().values()) == pytest.approx(wanted[name], rel=1e-6)


def on_a_rank(rank: int) -> tuple[dict[str, list[float]], int]:
    metrics = {name: wrap(metric) for name, metric in theirs().items()}
    for i, batch in enumerate(batches()):
        if i % 3 == rank:  # rank 1 has one batch, rank 2 as well, rank 0 two
            for name, metric in metrics.items():
                feed(name, metric, batch)
    with Calls() as calls:
        report = collect(metrics)
    found: dict[str, list[float]] = {}
    for name, value in report.items():
        found.setdefault(name.partition("/")[0], []).append(value)
    return found, len(calls.names)


def test_three_ranks_with_unequal_data_in_two_collectives() -> None:
    wanted = expected()
    for found, collectives in run_ranks(on_a_rank, 3):
        assert collectives == 2
        for name, values in wanted.items():
            assert found[name] == pytest.approx(values, rel=1e-6)


def test_padded_samples_are_left_out() -> None:
    pred, target = batches()[1]
    whole, part = wrap(theirs()["acc"]), wrap(theirs()["acc"])
    whole.update(pred, target, valid=torch.arange(5) < 3)
    part.update(pred[:3], target[:3])
    assert whole.compute() == part.compute()


def test_beside_others_in_metrics() -> None:
    ours = AccuracyCfg(num_classes=4, holds="probs", average="macro")
    metrics = Metrics({"theirs": wrap(theirs()["acc"]), "ours": ours})
    for batch in batches():
        metrics.update(*batch)
    report = metrics.compute()
    assert report["theirs"] == pytest.approx(report["ours"], rel=1e-6)


def test_what_does_not_add_up_is_refused() -> None:
    with pytest.raises(ConfigError, match="PearsonCorrCoef reduces its state 'mean_x' by None"):
        wrap(tm.PearsonCorrCoef())


def test_in_the_clothes_of_torchmetrics() -> None:
    f1 = F1(num_classes=4, holds="probs", average="none")
    whole, first = as_torchmetrics(f1), as_torchmetrics(f1, key="2")
    assert isinstance(whole, tm.Metric)
    for pred, target in batches():
        alone = F1(num_classes=4, holds="probs", average="none")
        alone.update(pred, target)
        assert whole(pred, target) == pytest.approx(alone.compute()["f1"])
    assert float(whole.compute()) == f1.compute()["f1"]
    assert float(first.compute()) == f1.compute()["f1/2"]
    whole.reset()
    assert math.isnan(float(whole.compute()))
    found = first(pred, target)
    assert float(found) == f1.compute()["f1/2"]
    with pytest.raises(ConfigError, match="has no value 'x'"):
        as_torchmetrics(Accuracy(), key="x").compute()
