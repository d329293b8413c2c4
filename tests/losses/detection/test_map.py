"""The smooth average precision against loops, closed forms and scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as c10d
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ConfigError, DltoolsError, ShapeError
from dltools.losses import MAP, MAPLoss, MAPLossCfg
from dltools.meters import collect
from tests.distributed.spawn import run_ranks


def draw(seed: int, *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, relevance, weights."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(shape, generator=generator, dtype=torch.float64)
    weights = torch.rand(shape, generator=generator, dtype=torch.float64)
    return scores, torch.randint(0, 2, shape, generator=generator), weights


def by_loop(scores: Any, relevant: Any, tau: float) -> float:
    """One class: the definition."""
    num, precisions = len(scores), []
    for i in range(num):
        if relevant[i]:
            above = {j: 1 / (1 + math.exp(-(scores[j] - scores[i]) / tau)) for j in range(num) if j != i}
            found = 1 + math.fsum(s for j, s in above.items() if relevant[j])
            precisions.append(found / (1 + math.fsum(above.values())))
    return 1 - math.fsum(precisions) / len(precisions) if precisions else 0.0


@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0])
def test_a_loss_is_its_loop(tau: float) -> None:
    scores, relevant, _ = draw(0, 15, 4)
    relevant[:, 2] = 0  # a class without a positive is not in the mean
    each = [by_loop(scores[:, c].tolist(), relevant[:, c].tolist(), tau) for c in range(4)]
    assert MAPLoss(tau=tau)(scores, relevant).item() == pytest.approx(sum(each) / 3, rel=1e-12)
    assert MAPLoss(tau=tau, reduction="sum")(scores, relevant).item() == pytest.approx(sum(each), rel=1e-12)
    assert MAPLoss(tau=tau, reduction="none")(scores, relevant).tolist() == pytest.approx(each, rel=1e-12)
    assert MAPLoss(tau=tau)(scores[:, 1], relevant[:, 1]).item() == pytest.approx(each[1], rel=1e-12)


def test_known_values() -> None:
    scores = torch.tensor([0.9, 0.8, 0.1])
    assert MAPLoss()(scores, torch.tensor([0, 1, 0])).item() == pytest.approx(0.5, abs=1e-4)
    assert MAPLoss()(scores, torch.tensor([1.0, 1.0, 0.0])).item() == pytest.approx(0, abs=1e-6)
    assert MAPLoss()(scores, torch.tensor([False, False, True])).item() == pytest.approx(2 / 3, abs=1e-6)
    assert MAPLoss()(torch.zeros(4), torch.tensor([1, 0, 0, 0])).item() == pytest.approx(1 - 1 / 2.5, abs=1e-6)
    assert MAP is MAPLoss


@given(st.integers(0, 10**6), st.integers(1, 40), st.booleans())
def test_in_the_limit_it_is_the_precision_of_sklearn(seed: int, num: int, weighted: bool) -> None:
    _, relevant, weights = draw(seed, num)
    scores = torch.randperm(num, generator=torch.Generator().manual_seed(seed)).double()
    relevant[0] = 1
    found = MAPLoss(tau=1e-3)(scores, relevant, weight_map=weights if weighted else None)
    by_sklearn = average_precision_score(relevant, scores, sample_weight=weights.numpy() if weighted else None)
    assert found.item() == pytest.approx(1 - by_sklearn, abs=1e-12)


def test_what_is_excluded_is_not_ranked() -> None:
    scores, relevant, _ = draw(1, 12, 3)
    keep = torch.arange(12) % 3 != 1
    expected = MAPLoss(tau=0.3)(scores[keep], relevant[keep])
    scores[~keep], weights = torch.nan, keep.double().unsqueeze(1) * 5
    unknown = torch.where(keep.unsqueeze(1), relevant, -1)
    for target, extra in ((relevant, {"mask": keep}), (relevant, {"weight_map": weights.expand(12, 3)}), (unknown, {})):
        leaf = scores.clone().requires_grad_()
        loss = MAPLoss(tau=0.3)(leaf, target, **extra)
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
        (slope,) = torch.autograd.grad(loss, leaf)
        assert not slope[~keep].any()
        assert bool(slope[keep].isfinite().all())


def test_labels_out_of_range_are_counted() -> None:
    scores, relevant, _ = draw(2, 6)
    relevant[:2] = torch.tensor([7, -1])
    loss = MAPLoss()
    loss(scores, relevant)
    with pytest.warns(UserWarning, match="2 targets have a label out of range"):
        assert collect({"a": loss})["a/bad_targets"] == 2
    with pytest.raises(DltoolsError, match="2 targets are neither 0 nor 1"):
        MAPLoss(check=True)(scores, relevant)


def test_first_and_second_slopes() -> None:
    scores, relevant, weights = draw(3, 5, 2)
    loss = MAPLoss(tau=0.5)
    leaf = scores.requires_grad_()
    assert gradcheck(lambda x: loss(x, relevant, weight_map=weights), leaf)
    assert gradgradcheck(lambda x: loss(x, relevant, weight_map=weights), leaf)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("height", [0.0, 1.0, 1e4, 1e38])
def test_finite_scores_give_finite_losses(dtype: torch.dtype, height: float) -> None:
    pred = (draw(4, 6, 2)[0].sign() * min(height, torch.finfo(dtype).max)).to(dtype).requires_grad_()
    loss = MAPLoss()(pred, draw(4, 6, 2)[1])
    (slope,) = torch.autograd.grad(loss, pred)
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    assert bool(loss.isfinite())
    assert bool(slope.isfinite().all())


def test_a_shape_that_does_not_fit() -> None:
    scores, relevant, weights = draw(5, 6, 2)
    for pred, target in (
        (scores, relevant[:, 0]),
        (scores.long(), relevant),
        (scores.view(3, 2, 2), relevant.view(3, 2, 2)),
    ):
        with pytest.raises(ShapeError, match=r"scores \(N,\) or \(N, C\) of floats"):
            MAPLoss()(pred, target)
    with pytest.raises(ShapeError, match=r"mask \(2,\). Expected mask \(6, 2\) or \(6,\)"):
        MAPLoss()(scores, relevant, mask=weights[0])
    with pytest.raises(ConfigError, match="tau"):
        MAPLossCfg(tau=0.0)


SHARDS = [3, 0, 5]


def part(rows: slice, sync: Any) -> tuple[Tensor, Tensor]:
    """The loss of some samples, and its slope by a parameter that all pass."""
    scores, relevant, weights = (x[rows] for x in draw(6, 8, 3))
    scale = torch.tensor([1.5, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    value = MAPLoss(tau=0.4, sync=sync)(scores * scale, relevant, weight_map=weights)
    return value.detach(), torch.autograd.grad(value, scale)[0]


def synced(rank: int) -> dict[str, tuple[Tensor, Tensor]]:
    start, out = sum(SHARDS[:rank]), {}
    for how in ("mean", "sum"):
        value, slope = part(slice(start, start + SHARDS[rank]), how)
        c10d.all_reduce(slope)
        out[how] = value, slope / len(SHARDS) if how == "mean" else slope
    return out


def test_the_ranking_is_that_of_all_ranks() -> None:
    value, slope = part(slice(None), "none")
    assert np.abs(slope.numpy()).min() > 1e-4
    for rank in run_ranks(synced, len(SHARDS)):
        for found in rank.values():
            torch.testing.assert_close(found[0], value, rtol=1e-12, atol=0)
            torch.testing.assert_close(found[1], slope, rtol=1e-10, atol=1e-14)
