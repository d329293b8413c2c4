"""Top-k, calibration and proper scores against scikit-learn and loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from dltools.cfgutils import build
from dltools.errors import ConfigError, ShapeError
from dltools.metrics import (
    BrierScore,
    BrierScoreCfg,
    CalibrationError,
    CalibrationErrorCfg,
    LogLoss,
    LogLossCfg,
    Metrics,
    Perplexity,
    PerplexityCfg,
    Reliability,
    ReliabilityCfg,
    TopKAccuracy,
    TopKAccuracyCfg,
)
from tests.hostreads import count_host_reads

seeds = st.integers(0, 10**6)


def classes(seed: int, n: int = 60, num: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, num))), torch.from_numpy(rng.integers(0, num, n))


@given(seeds, st.integers(1, 3), st.sampled_from([None, 3, 4]))
def test_top_k(seed: int, k: int, max_k: int | None) -> None:
    x, y = classes(seed)
    metric = TopKAccuracy(num_classes=4, k=k, max_k=max_k)
    metric.update(x[:25], y[:25])
    metric.update(x[25:], y[25:])
    expected = sk.top_k_accuracy_score(y, x, k=k, labels=range(4))
    assert metric.compute()["top_k_accuracy"] == pytest.approx(expected, abs=1e-15)


@given(seeds, st.integers(1, 3))
def test_of_equal_scores_the_lower_index_is_better(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 3, (20, 4, 2)).astype(np.float32), rng.integers(-1, 4, (20, 2))
    hits = []
    for i, j in np.argwhere(y >= 0):
        best = sorted(range(4), key=lambda c: (-x[i, c, j], c))[:k]
        hits.append(y[i, j] in best)
    metric = TopKAccuracy(num_classes=4, k=k, ignore_index=-1)
    metric.update(torch.from_numpy(x), torch.from_numpy(y))
    report = metric.compute()
    assert report["top_k_accuracy"] == pytest.approx(np.mean(hits), abs=1e-15)
    assert report.n["top_k_accuracy"] == len(hits)
    assert report.ci("top_k_accuracy").method == "wilson"


def test_one_count_of_ranks_serves_every_k() -> None:
    metrics = Metrics({"a": TopKAccuracyCfg(num_classes=4, k=1), "b": TopKAccuracyCfg(num_classes=4, k=3)})
    assert metrics["a"].states is metrics["b"].states
    for fields in ({"k": 5}, {"max_k": 5}, {"max_k": 2, "k": 3}, {"num_classes": 1, "k": 1}):
        with pytest.raises(ConfigError, match="k|num_classes"):
            TopKAccuracyCfg(**{"num_classes": 4, **fields})


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@given(seed=seeds, bins=st.integers(1, 20), task=st.sampled_from(["binary", "multiclass", "multilabel"]))
def test_calibration(norm: Any, seed: int, bins: int, task: Any) -> None:
    x, y = classes(seed)
    if task == "multiclass":
        p = x.softmax(1)
        conf, right = p.max(1).values.numpy(), (p.argmax(1) == y).numpy()
    else:
        x, y = (x, (x + torch.sin(x * 99) > 0).long()) if task == "multilabel" else (x[:, 0], y % 2)
        conf, right = x.sigmoid().reshape(-1).numpy(), y.reshape(-1).numpy()
    metric = build(CalibrationErrorCfg(task=task, bins=bins, norm=norm))
    metric.update(x[:20], y[:20])
    metric.update(x[20:], y[20:])
    gaps, shares = [], []
    place = np.minimum(np.floor(conf * bins), bins - 1)
    for b in range(bins):
        inside = place == b
        if inside.any():
            gaps.append(abs(conf[inside].mean() - right[inside].mean()))
            shares.append(inside.mean())
    expected = {
        "l1": np.dot(shares, gaps),
        "l2": math.sqrt(np.dot(shares, np.square(gaps))),
        "max": max(gaps),
    }[norm]
    assert metric.compute()["calibration_error"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("p", "y", "expected"),
    [([0.25, 0.25, 0.55, 0.75, 0.75], [0, 0, 1, 1, 1], 0.29), ([0.95, 1.0], [1, 0], 0.475)],
)
def test_known_calibration_errors(p: list[float], y: list[int], expected: float) -> None:
    metric = CalibrationError(task="binary", holds="probs", bins=10)
    metric.update(torch.tensor(p, dtype=torch.float64), torch.tensor(y))
    assert metric.compute()["calibration_error"] == pytest.approx(expected, abs=1e-12)


def test_reliability_has_the_bins() -> None:
    metric = Reliability(task="binary", holds="probs", bins=4)
    metric.update(torch.tensor([0.1, 0.2, 0.9, 1.0]), torch.tensor([0, 1, 1, 1]))
    data = metric.compute().data("reliability")
    assert data["n"].tolist() == [2, 0, 0, 2]
    assert data["edges"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(data["confidence"], [0.15, np.nan, np.nan, 0.95], rtol=1e-6)
    np.testing.assert_allclose(data["accuracy"], [0.5, np.nan, np.nan, 1.0])
    metrics = Metrics({"a": CalibrationErrorCfg(bins=4), "b": ReliabilityCfg(bins=4)})
    assert metrics["a"].states is metrics["b"].states


@given(seeds, st.sampled_from(["logits", "probs", "log_probs"]))
def test_proper_scores_of_classes(seed: int, holds: Any) -> None:
    x, y = classes(seed)
    p = x.softmax(1)
    given_ = {"logits": x, "probs": p, "log_probs": p.log()}[holds]
    metrics = Metrics(
        {"brier": BrierScoreCfg(holds=holds), "loss": LogLossCfg(holds=holds), "ppl": PerplexityCfg(holds=holds)}
    )
    metrics.update(given_[:30], y[:30])
    metrics.update(given_[30:], y[30:])
    report = metrics.compute()
    loss = sk.log_loss(y, p, labels=range(4))
    one_hot = torch.nn.functional.one_hot(y, 4)
    assert report["loss"] == pytest.approx(loss, rel=1e-12)
    assert report["ppl"] == pytest.approx(math.exp(loss), rel=1e-12)
    assert report["brier"] == pytest.approx(float((p - one_hot).square().sum(1).mean()), rel=1e-12)
    assert metrics["brier"].states is metrics["ppl"].states


@given(seeds, st.sampled_from(["logits", "probs", "log_probs"]))
def test_proper_scores_of_one_side(seed: int, holds: Any) -> None:
    x, y = classes(seed)
    x, y = x[:, 0], y % 2
    given_ = {"logits": x, "probs": x.sigmoid(), "log_probs": torch.nn.functional.logsigmoid(x)}[holds]
    metrics = Metrics({"b": BrierScoreCfg(task="binary", holds=holds), "l": LogLossCfg(task="binary", holds=holds)})
    metrics.update(given_, y)
    report = metrics.compute()
    assert report["b"] == pytest.approx(sk.brier_score_loss(y, x.sigmoid()), rel=1e-10)
    assert report["l"] == pytest.approx(sk.log_loss(y, x.sigmoid()), rel=1e-10)


def test_perplexity_of_equally_likely_words_is_their_number() -> None:
    metric = Perplexity(ignore_index=-100)
    metric.update(torch.zeros(2, 1000, 5), torch.tensor([[1, 2, 3, -100, -100], [999, 0, 1, 2, 3]]))
    report = metric.compute()
    assert report["perplexity"] == pytest.approx(1000, rel=1e-6)
    assert report.n["perplexity"] == 8
    worst = Perplexity()
    worst.update(torch.tensor([[1e4, -1e4]]), torch.tensor([1]))
    assert worst.compute()["perplexity"] == math.inf


EVERY = [
    TopKAccuracyCfg(num_classes=3, k=2),
    CalibrationErrorCfg(),
    ReliabilityCfg(),
    BrierScoreCfg(),
    LogLossCfg(),
    PerplexityCfg(),
]


@pytest.mark.parametrize("cfg", EVERY, ids=lambda cfg: cfg.tag)
def test_edges(cfg: Any) -> None:
    empty = build(cfg)
    name = empty.lone_name
    assert math.isnan(empty.compute()[name])
    empty.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert (math.isnan(empty.compute()[name]), empty.compute().n[name]) == (True, 0)

    x, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    one, padded = build(cfg), build(cfg)
    one.update(x[:4], y[:4])
    x[4:] = math.nan
    y[4:] = 77
    with count_host_reads() as reads:
        padded.update(x, y, valid=torch.arange(6) < 4)
    assert reads.count == 0
    assert padded.compute()[name] == one.compute()[name]
    padded.update(x[4:5], y[3:4])
    padded.update(x[:1], y[5:])
    with pytest.warns(UserWarning, match="2 elements cannot be counted"):
        report = padded.compute()
    assert math.isnan(report[name])
    assert report.invalid[name] == 2
    with pytest.raises(ShapeError, match="pred"):
        one.update(torch.zeros(4, 3), torch.zeros(5, dtype=torch.int64))
    meta = build(cfg)
    meta.update(torch.zeros(4, 3, device="meta"), torch.zeros(4, dtype=torch.int64, device="meta"))
    compiled = build(cfg)
    torch.compile(compiled.update, fullgraph=True, backend="eager")(x[:4], y[:4])
    assert compiled.compute()[name] == pytest.approx(one.compute()[name], rel=1e-6)


def test_binary_scores_may_have_a_channel() -> None:
    for cls in (BrierScore, LogLoss, CalibrationError):
        flat, channel = cls(task="binary"), cls(task="binary")
        flat.update(torch.tensor([0.5, -1.0]), torch.tensor([1, 0]))
        channel.update(torch.tensor([[0.5], [-1.0]]), torch.tensor([1, 0]))
        assert flat.compute()[flat.lone_name] == channel.compute()[flat.lone_name]


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("holds", ["probs", "log_probs"])
@pytest.mark.parametrize("cls", [BrierScore, LogLoss, CalibrationError])
def test_logits_are_no_probabilities(cls: Any, task: Any, holds: Any) -> None:
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * 4
    target = torch.arange(40) % 3 if task == "multiclass" else torch.arange(120).view(40, 3) % 2
    x, target = (x[:, 0], target[:, 0]) if task == "binary" else (x, target)
    p = x.softmax(1) if task == "multiclass" else x.sigmoid()
    metric, right, logits = cls(task=task, holds=holds), cls(task=task, holds=holds), cls(task=task)
    metric.update(x, target)
    with pytest.warns(UserWarning, match="No score may be NaN or out of its range; holds='logits' has none"):
        assert math.isnan(metric.compute()[metric.lone_name])
    p = p.double().clamp(1e-9, 1 - 1e-9)
    right.update(p if holds == "probs" else p.log(), target)
    logits.update(x, target)
    assert right.compute()[right.lone_name] == pytest.approx(logits.compute()[right.lone_name], rel=1e-4)
    rounded = cls(task=task, holds="probs")
    rounded.update((p.round() * 1.004), target)
    assert not math.isnan(rounded.compute()[rounded.lone_name])
