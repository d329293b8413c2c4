"""Retrieval against loops over the queries and scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from dltools.cfgutils import build
from dltools.errors import ShapeError
from dltools.metrics import (
    MAPAtRCfg,
    Metrics,
    MRRCfg,
    NDCGCfg,
    PrecisionAtKCfg,
    RecallAtK,
    RecallAtKCfg,
    RPrecisionCfg,
)
from dltools.metrics.metric_learning import search


def relevances(x: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], distance: str) -> list[tuple[Any, Any]]:
    """For each query: similarities of the others, and whether they match, the nearest first, then in their order."""
    made = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        if distance == "cosine":
            near = np.array([x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]) for j in others])
        else:
            near = np.array([-np.sum((x[i] - x[j]) ** 2) for j in others])
        match = np.array([labels[i] == labels[j] for j in others])
        order = np.argsort(-near, kind="stable")
        if match.any():
            made.append((near[order], match[order]))
    return made


def by_hand(queries: list[tuple[Any, Any]], k: int) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in ("recall", "precision", "r", "map", "mrr", "ndcg")}
    for _, match in queries:
        r = int(match.sum())
        found["recall"].append(match[:k].any())
        found["precision"].append(match[:k].sum() / k)
        found["r"].append(match[:r].mean())
        found["map"].append(sum(match[: i + 1].mean() for i in range(r) if match[i]) / r)
        found["mrr"].append(1 / (1 + int(np.argmax(match))))
        found["ndcg"].append(ndcg_score([match], [-np.arange(len(match))], k=k) if len(match) > 1 else float(match[0]))
    return {name: float(np.mean(values)) if values else math.nan for name, values in found.items()}


@given(st.integers(0, 10**6), st.integers(2, 25), st.integers(1, 12), st.sampled_from(["cosine", "l2", "ties"]))
def test_values(seed: int, n: int, k: int, distance: Any) -> None:
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(n, 3)), rng.integers(0, 4, n)
    if distance == "ties":
        x, distance = 1000 + rng.integers(0, 3, (n, 3)) / 4, "l2"
    fields: dict[str, Any] = {"dim": 3, "distance": distance}
    members: dict[str, Any] = {
        "recall": RecallAtKCfg(k=k, **fields),
        "precision": PrecisionAtKCfg(k=k, **fields),
        "r": RPrecisionCfg(**fields),
        "map": MAPAtRCfg(**fields),
        "mrr": MRRCfg(**fields),
        "ndcg": NDCGCfg(k=k, **fields),
    }
    metrics = Metrics(members)
    assert len({id(metric.states) for metric in metrics.values()}) == 1
    cut = n // 3
    metrics.update(torch.from_numpy(x[:cut]), torch.from_numpy(labels[:cut]))
    metrics.update(torch.from_numpy(x[cut:]), torch.from_numpy(labels[cut:]))
    report = metrics.compute()
    queries = relevances(x.astype(np.float32), labels, distance)
    for name, value in by_hand(queries, k).items():
        assert report[name] == pytest.approx(value, abs=1e-12, nan_ok=True)
    assert report.n["map"] == len(queries)


def test_map_at_r_of_a_known_order() -> None:
    metric = build(MAPAtRCfg(dim=1, distance="l2"))
    metric.update(torch.tensor([[0.0], [1.0], [2.0], [3.0], [-90.0]]), torch.tensor([0, 0, 1, 0, 0]))
    queries = relevances(np.array([[0.0], [1.0], [2.0], [3.0], [-90.0]]), np.array([0, 0, 1, 0, 0]), "l2")
    first = queries[0][1][:3]
    assert first.tolist() == [True, False, True]
    assert sum(first[: i + 1].mean() for i in range(3) if first[i]) / 3 == pytest.approx(5 / 9)
    assert metric.compute()["map_at_r"] == pytest.approx(by_hand(queries, 1)["map"])


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = torch.randn(50, 4), torch.arange(50) % 7
    whole = search.search(x, labels, 5, "cosine")
    first = whole.first()
    monkeypatch.setattr(search, "CHUNK", 120)
    parts = search.search(x, labels, 5, "cosine")
    assert all(torch.equal(a, b) for a, b in zip(whole[:2], parts[:2], strict=True))
    assert torch.equal(first, parts.first())


@pytest.mark.parametrize(
    "cfg", [RecallAtKCfg(dim=2), MAPAtRCfg(dim=2), MRRCfg(dim=2), NDCGCfg(dim=2), RPrecisionCfg(dim=2)]
)
def test_edges(cfg: Any) -> None:
    metric = build(cfg)
    name = metric.lone_name
    assert math.isnan(metric.compute()[name])
    metric.update(torch.ones(1, 2), torch.tensor([0]))
    assert math.isnan(metric.compute()[name])
    metric.update(torch.tensor([[2.0, 2.0], [math.nan, 0.0]]), torch.tensor([0, 1]), valid=torch.tensor([True, False]))
    report = metric.compute()
    assert (report[name], report.n[name]) == (1.0, 2)
    assert report.ci(name).method == "bootstrap"
    metric.update(torch.tensor([[math.nan, 1.0]]), torch.tensor([0]))
    with pytest.warns(UserWarning, match="1 elements"):
        assert math.isnan(metric.compute()[name])


def test_mistakes() -> None:
    with pytest.raises(ShapeError, match=r"pred \(4, 3\).*dim 2"):
        RecallAtK(dim=2).update(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ShapeError, match="integer labels"):
        RecallAtK(dim=2).update(torch.zeros(4, 2), torch.zeros(4))
