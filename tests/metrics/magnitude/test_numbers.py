"""Errors and correlations of numbers against scikit-learn, scipy and numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from dltools.cfgutils import build
from dltools.errors import ShapeError
from dltools.metrics import (
    R2,
    ConcordanceCorrCfg,
    CosineSimilarity,
    CosineSimilarityCfg,
    DepthErrors,
    DepthErrorsCfg,
    ExplainedVarianceCfg,
    KendallTauCfg,
    MAECfg,
    MAPECfg,
    Metrics,
    MSECfg,
    MSLECfg,
    PearsonCorrCfg,
    R2Cfg,
    RMSECfg,
    SMAPECfg,
    SpearmanCorrCfg,
)
from tests.hostreads import count_host_reads


def concordance(y: Any, p: Any) -> float:
    return float(2 * np.cov(y, p, bias=True)[0, 1] / (y.var() + p.var() + (y.mean() - p.mean()) ** 2))


PEERS: dict[str, tuple[Any, Any]] = {
    "mae": (MAECfg, sk.mean_absolute_error),
    "mse": (MSECfg, sk.mean_squared_error),
    "rmse": (RMSECfg, sk.root_mean_squared_error),
    "r2": (R2Cfg, sk.r2_score),
    "explained": (ExplainedVarianceCfg, sk.explained_variance_score),
    "mape": (MAPECfg, sk.mean_absolute_percentage_error),
    "smape": (SMAPECfg, lambda y, p: float(np.mean(2 * abs(y - p) / (abs(y) + abs(p))))),
    "msle": (MSLECfg, sk.mean_squared_log_error),
    "pearson": (PearsonCorrCfg, lambda y, p: scipy.stats.pearsonr(y, p).statistic),
    "concordance": (ConcordanceCorrCfg, concordance),
    "spearman": (SpearmanCorrCfg, lambda y, p: scipy.stats.spearmanr(y, p).statistic),
    "kendall": (KendallTauCfg, lambda y, p: scipy.stats.kendalltau(y, p).statistic),
}
peers = pytest.mark.parametrize(("cfg", "peer"), PEERS.values(), ids=PEERS)


def numbers(seed: int, n: int = 40, ties: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    y = rng.gamma(2.0, 2.0, n)
    p = abs(y + rng.normal(size=n))
    if ties:
        y, p = y.round(), p.round()
    return torch.from_numpy(p), torch.from_numpy(y)


@peers
@given(seed=st.integers(0, 10**6), ties=st.booleans(), cut=st.integers(0, 40))
def test_values(cfg: Any, peer: Any, seed: int, ties: bool, cut: int) -> None:
    p, y = numbers(seed, ties=ties)
    metric = build(cfg())
    with count_host_reads() as reads:
        metric.update(p[:cut], y[:cut])
        metric.update(p[cut:].view(-1, 1), y[cut:].view(-1, 1))
    assert reads.count == 0
    if ties and cfg is SMAPECfg:
        p, y = p[p + y > 0], torch.cat([y[p + y > 0]])
        scale = len(p) / 40
    else:
        scale = 1.0
    assert metric.compute()[metric.lone_name] == pytest.approx(peer(y.numpy(), p.numpy()) * scale, rel=1e-9, abs=1e-12)
    assert metric.compute().n[metric.lone_name] == 40


@pytest.mark.parametrize("number", [0.1, 1 / 3, 7.7, 123456.789, 1e6 + 0.1])
@pytest.mark.parametrize("n", [3, 7, 33, 1000])
def test_numbers_that_are_all_equal(number: float, n: int) -> None:
    same = torch.full((n,), number, dtype=torch.float64)
    other = same + numbers(n, n)[0]
    cases: list[tuple[Any, Any, Any, float]] = [
        (R2Cfg, other, same, 0.0),
        (R2Cfg, same, same, 1.0),
        (ExplainedVarianceCfg, other, same, 0.0),
        (PearsonCorrCfg, other, same, math.nan),
        (PearsonCorrCfg, same, other, math.nan),
        (ConcordanceCorrCfg, other, same, 0.0),
        (ConcordanceCorrCfg, same, same, math.nan),
    ]
    for cfg, p, y, expected in cases:
        metric: Any = build(cfg())
        metric.update(p, y)
        assert metric.compute()[metric.lone_name] == pytest.approx(expected, nan_ok=True), cfg


@peers
def test_edges(cfg: Any, peer: Any) -> None:
    del peer
    metric = build(cfg(mask_value=-7.0))
    name = metric.lone_name
    assert math.isnan(metric.compute()[name])
    p, y = numbers(1, 12)
    whole = build(cfg())
    whole.update(p[:6], y[:6])
    p[6:8], y[6:8] = math.nan, -7.0
    p[8:], y[8:] = math.inf, math.nan
    metric.update(p.view(6, 2), y.view(6, 2), valid=torch.arange(6) < 4)
    assert metric.compute()[name] == pytest.approx(whole.compute()[name], rel=1e-12)
    assert metric.compute().n[name] == 6
    metric.update(p[8:], y[8:])
    with pytest.warns(UserWarning, match="4 elements cannot be counted"):
        report = metric.compute()
    assert math.isnan(report[name])
    assert report.invalid[name] == 4
    with pytest.raises(ShapeError, match=r"pred \(4, 1\).*one shape"):
        metric.update(torch.zeros(4, 1), torch.zeros(4))


def test_equal_fields_share_one_count() -> None:
    metrics = Metrics({"mae": MAECfg(), "r2": R2Cfg(), "rmse": RMSECfg(), "masked": MAECfg(mask_value=0.0)})
    assert metrics["mae"].states is metrics["r2"].states is metrics["rmse"].states
    assert metrics["mae"].states is not metrics["masked"].states


@pytest.mark.parametrize(("p", "y"), [([1.0, 1.0], [1.0, 1.0]), ([1.0, 2.0], [1.0, 1.0]), ([1.0], [2.0])])
def test_r2_of_constants_is_scikit_learn_s(p: list[float], y: list[float]) -> None:
    metric = R2()
    metric.update(torch.tensor(p), torch.tensor(y))
    expected = math.nan if len(p) < 2 else sk.r2_score(y, p)
    assert metric.compute()["r2"] == pytest.approx(expected, nan_ok=True)


def test_correlation_of_a_constant_is_unknown() -> None:
    for cfg in (PearsonCorrCfg(), SpearmanCorrCfg(), KendallTauCfg()):
        metric: Any = build(cfg)
        metric.update(torch.ones(4), torch.arange(4.0))
        assert math.isnan(metric.compute()[metric.lone_name])


@given(st.integers(0, 10**6))
def test_cosine_similarity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 3))
    metric = CosineSimilarity()
    metric.update(torch.from_numpy(p), torch.from_numpy(y))
    expected = np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(p, y, strict=True)])
    assert metric.compute()["cosine_similarity"] == pytest.approx(expected, abs=1e-12)
    metric.update(torch.zeros(1, 3), torch.ones(1, 3))
    with pytest.warns(UserWarning, match="1 elements"):
        assert math.isnan(metric.compute()["cosine_similarity"])
    with pytest.raises(ShapeError, match="vectors"):
        build(CosineSimilarityCfg()).update(torch.zeros(3), torch.zeros(3))


@given(st.integers(0, 10**6))
def test_depth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.uniform(0.5, 10, (4, 5))
    p = y * np.exp(rng.normal(0, 0.3, y.shape))
    hidden = rng.random(y.shape) < 0.3
    metric = DepthErrors()
    metric.update(torch.from_numpy(np.where(hidden, np.nan, p)), torch.from_numpy(np.where(hidden, 0, y)))
    report = metric.compute()
    p, y = p[~hidden], y[~hidden]
    g, off = np.log(p) - np.log(y), np.maximum(p / y, y / p)
    expected = {
        "": np.mean(abs(p - y) / y),
        "/sq_rel": np.mean((p - y) ** 2 / y),
        "/rmse": math.sqrt(np.mean((p - y) ** 2)),
        "/rmse_log": math.sqrt(np.mean(g**2)),
        "/silog": np.std(g),
        "/delta1": np.mean(off < 1.25),
        "/delta2": np.mean(off < 1.25**2),
        "/delta3": np.mean(off < 1.25**3),
    }
    for name, value in expected.items():
        assert report[f"depth_errors{name}"] == pytest.approx(value, rel=1e-10, abs=1e-12)
    assert report.higher["depth_errors/delta1"] is True
    bad = build(DepthErrorsCfg())
    bad.update(torch.tensor([-1.0]), torch.tensor([2.0]))
    with pytest.warns(UserWarning, match="1 elements"):
        assert math.isnan(bad.compute()["depth_errors"])
