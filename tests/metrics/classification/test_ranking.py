"""Rankings against scikit-learn and scipy, and certified bounds against float64."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from dltools.cfgutils import build
from dltools.errors import ConfigError, ShapeError
from dltools.metrics import (
    AUROC,
    AUROCCfg,
    AveragePrecisionCfg,
    FMaxCfg,
    KolmogorovSmirnovCfg,
    Metrics,
    PRCurveCfg,
    PrecisionAtRecallCfg,
    RecallAtPrecisionCfg,
    ROCCurveCfg,
    SensitivityAtSpecificityCfg,
)
from tests.hostreads import count_host_reads

HALF: dict[str, Any] = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def sample(n: int, seed: int, shift: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    y[:2] = [0, 1]
    return torch.from_numpy(rng.normal(shift * y, 1.5)).float(), torch.from_numpy(y)


def prc(y: Any, x: Any) -> tuple[Any, Any]:
    precision, recall, _ = sk.precision_recall_curve(y, x)
    return precision[:-1], recall[:-1]


def best_f(y: Any, x: Any) -> float:
    precision, recall = prc(y, x)
    return float(np.nanmax(5 * precision * recall / np.maximum(4 * precision + recall, 1e-300)))


def best_tpr(y: Any, x: Any) -> float:
    fpr, tpr, _ = sk.roc_curve(y, x, drop_intermediate=False)
    return float(tpr[fpr <= 0.3].max())


def best_recall(y: Any, x: Any) -> float:
    precision, recall = prc(y, x)
    return float(max([0.0, *recall[precision >= 0.7]]))


def best_precision(y: Any, x: Any) -> float:
    precision, recall = prc(y, x)
    return float(precision[recall >= 0.6].max())


PEERS: dict[str, tuple[Any, Any]] = {
    "auroc": (AUROCCfg, sk.roc_auc_score),
    "partial": (lambda **k: AUROCCfg(max_fpr=0.2, **k), lambda y, x: sk.roc_auc_score(y, x, max_fpr=0.2)),
    "ap": (AveragePrecisionCfg, sk.average_precision_score),
    "f2": (lambda **k: FMaxCfg(beta=2.0, **k), best_f),
    "ks": (KolmogorovSmirnovCfg, lambda y, x: scipy.stats.ks_2samp(x[y == 1], x[y == 0]).statistic),
    "recall": (
        lambda **k: RecallAtPrecisionCfg(min_precision=0.7, **k),
        lambda y, x: max([0, *prc(y, x)[1][prc(y, x)[0] >= 0.7]]),
    ),
    "precision": (
        lambda **k: PrecisionAtRecallCfg(min_recall=0.6, **k),
        lambda y, x: prc(y, x)[0][prc(y, x)[1] >= 0.6].max(),
    ),
    "sensitivity": (lambda **k: SensitivityAtSpecificityCfg(min_specificity=0.7, **k), best_tpr),
}
peers = pytest.mark.parametrize(("cfg", "peer"), PEERS.values(), ids=PEERS)


@peers
@pytest.mark.parametrize("scores", HALF)
@settings(max_examples=15)
@given(n=st.integers(2, 300), seed=st.integers(0, 10**6))
def test_halves_are_exact(cfg: Any, peer: Any, scores: Any, n: int, seed: int) -> None:
    x, y = sample(n, seed)
    x = x.to(HALF[scores])
    metric = build(cfg(task="binary", scores=scores))
    for part in torch.arange(n).chunk(3):
        metric.update(x[part], y[part])
    report = metric.compute()
    name = next(iter(report))
    assert report[name] == pytest.approx(peer(y.numpy(), x.double().numpy()), abs=1e-12)
    assert report.bounds(name) == (report[name], report[name])
    assert report.n[name] == n


@peers
@pytest.mark.parametrize("holds", ["logits", "probs", "log_probs"])
@settings(max_examples=15)
@given(n=st.integers(2, 3000), seed=st.integers(0, 10**6), spread=st.sampled_from([1e-4, 1.0, 30.0]))
def test_float32_lies_within_its_bounds(cfg: Any, peer: Any, holds: Any, n: int, seed: int, spread: float) -> None:
    x, y = sample(n, seed)
    x = x * spread if holds == "logits" else (x * min(spread, 8)).sigmoid() if holds == "probs" else -(-x).exp()
    metric = build(cfg(task="binary", holds=holds))
    metric.update(x, y)
    report = metric.compute()
    name = next(iter(report))
    low, high = report.bounds(name)
    assert low - 1e-12 <= peer(y.numpy(), x.double().numpy()) <= high + 1e-12
    assert report[name] == pytest.approx((low + high) / 2)


@pytest.mark.parametrize(("negatives", "positives", "half"), [((-20, 2), (-15, 2), 2e-3), ((-1, 1), (1, 1), 5e-5)])
def test_bounds_are_narrow(negatives: Any, positives: Any, half: float) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(*negatives, 200_000), rng.normal(*positives, 200_000)]).astype(np.float32)
    y = np.repeat([0, 1], 200_000)
    metric = AUROC(task="binary")
    metric.update(torch.from_numpy(x), torch.from_numpy(y))
    low, high = metric.compute().bounds("auroc")
    assert (high - low) / 2 <= half
    assert low <= sk.roc_auc_score(y, x) <= high
    probs = AUROC(task="binary", holds="probs")
    probs.update(torch.from_numpy(x).sigmoid(), torch.from_numpy(y))
    low, high = probs.compute().bounds("auroc")
    assert (high - low) / 2 <= half


def test_any_batching_gives_the_same() -> None:
    x, y = torch.tensor([0.2, 3.0, 0.9, -2.0, 0.5, 0.6]), torch.tensor([0, 0, 1, 0, 1, 1])
    for size in range(1, 7):
        metric = AUROC(task="binary")
        for a, b in zip(x.split(size), y.split(size), strict=True):
            metric.update(a, b)
        assert metric.compute()["auroc"] == pytest.approx(2 / 3, abs=1e-12)


@pytest.mark.parametrize("average", ["macro", "weighted", "none"])
@pytest.mark.parametrize("cfg", [AUROCCfg, AveragePrecisionCfg])
def test_one_class_against_the_rest(average: Any, cfg: Any) -> None:
    rng = np.random.default_rng(3)
    logits, y = torch.from_numpy(rng.normal(size=(400, 4, 2))), torch.from_numpy(rng.integers(0, 3, (400, 2)))
    metric = build(cfg(num_classes=4, average=average))
    metric.update(logits, y)
    report = metric.compute()
    name = metric.lone_name
    p, flat = logits.softmax(1).movedim(1, 2).reshape(-1, 4).numpy(), y.reshape(-1).numpy()
    peer = sk.roc_auc_score if cfg is AUROCCfg else sk.average_precision_score
    each = [peer(flat == c, p[:, c]) for c in range(3)]
    sizes = [float((flat == c).sum()) for c in range(3)] if average == "weighted" else None
    low, high = report.bounds(name)
    assert low - 1e-9 <= np.average(each, weights=sizes) <= high + 1e-9
    by_class = report.per_class(name)
    assert [by_class[str(c)] for c in range(3)] == pytest.approx(each, abs=1e-3)
    assert math.isnan(by_class["3"])
    assert (f"{name}/0" in report) == (average == "none")


def test_labels_of_their_own_and_ignored_ones() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(200, 3)).astype(np.float16), rng.integers(0, 2, (200, 3))
    hidden = rng.random((200, 3)) < 0.3
    metric = AUROC(task="multilabel", num_classes=3, scores="float16", ignore_index=-1)
    junk = np.where(hidden, np.float16(np.nan), x)
    metric.update(torch.from_numpy(junk), torch.from_numpy(np.where(hidden, -1, y)))
    expected = [sk.roc_auc_score(y[~hidden[:, c], c], x[~hidden[:, c], c].astype(float)) for c in range(3)]
    report = metric.compute()
    assert report["auroc"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert report.n["auroc"] == (~hidden).sum(0).max()


def test_curves() -> None:
    x, y = sample(200, 1)
    x = x.to(torch.float16)
    metrics = Metrics(
        {"roc": ROCCurveCfg(task="binary", scores="float16"), "pr": PRCurveCfg(task="binary", scores="float16")}
    )
    metrics.update(x, y)
    report = metrics.compute()
    fpr, tpr, thresholds = sk.roc_curve(y, x.float(), drop_intermediate=False)
    roc, pr = report.data("roc"), report.data("pr")
    for mine, theirs in zip((roc["fpr"], roc["tpr"], roc["thresholds"]), (fpr, tpr, thresholds), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    precision, recall, thresholds = sk.precision_recall_curve(y, x.float())
    np.testing.assert_allclose(pr["precision"][::-1], precision[:-1], rtol=1e-12)
    np.testing.assert_allclose(pr["recall"][::-1], recall[:-1], rtol=1e-12)
    np.testing.assert_allclose(pr["thresholds"][::-1], thresholds, rtol=1e-12)


def test_one_count_serves_all() -> None:
    members = {name: cfg(task="binary") for name, (cfg, _) in PEERS.items()}
    metrics = Metrics(members)
    assert len({id(metric.states) for metric in metrics.values()}) == 1
    x, y = sample(100, 0)
    with count_host_reads() as reads:
        metrics.update(x, y)
    assert reads.count == 0


def test_nothing_one_class_and_nonsense() -> None:
    metric = AUROC(task="binary")
    assert math.isnan(metric.compute()["auroc"])
    metric.update(torch.tensor([0.1, 0.2]), torch.tensor([1, 1]))
    assert math.isnan(metric.compute()["auroc"])
    metric.update(torch.tensor([0.1, math.nan, 0.3]), torch.tensor([0, 0, 2]))
    with pytest.warns(UserWarning, match="2 elements cannot be counted.*ignore_index"):
        report = metric.compute()
    assert math.isnan(report["auroc"])
    assert report.invalid["auroc"] == 2


def test_infinite_scores_are_ends() -> None:
    metric = AUROC(task="binary")
    metric.update(torch.tensor([-math.inf, 0.0, math.inf]), torch.tensor([0, 0, 1]))
    assert metric.compute()["auroc"] == 1.0


def test_shapes_are_refused_before_anything_is_counted() -> None:
    metric = AUROC(num_classes=3)
    with pytest.raises(ShapeError, match="num_classes"):
        metric.update(torch.zeros(4, 5), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ConfigError, match="max_fpr"):
        AUROC(max_fpr=0.0)
    with pytest.raises(ConfigError, match="num_classes is 1"):
        AUROC(num_classes=1)


def test_updates_run_on_meta_tensors() -> None:
    metric = AUROC(num_classes=3)
    metric.update(torch.zeros(4, 3, device="meta"), torch.zeros(4, dtype=torch.int64, device="meta"))
    assert metric.states.device.type == "meta"


def test_compiles_to_one_graph() -> None:
    x, y = sample(64, 2)
    metric, plain = AUROC(task="binary"), AUROC(task="binary")
    plain.update(x, y)

    @torch.compile(fullgraph=True, backend="eager")
    def update(x: torch.Tensor, y: torch.Tensor) -> None:
        metric.update(x, y)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        update(x, y)
    assert torch.equal(metric.states["scores"], plain.states["scores"])
