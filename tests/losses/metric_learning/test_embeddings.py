"""Losses of embeddings against their definitions, as loops over anchors and partners in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics.pairwise import cosine_similarity, pairwise_distances
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import DltoolsError, ShapeError
from dltools.losses import (
    ArcFaceLoss,
    ContrastiveLoss,
    CosFaceLoss,
    EmbeddingLoss,
    EmbeddingLossCfg,
    InfoNCELoss,
    Loss,
    MultiSimilarityLoss,
    NTXentLoss,
    SupConLoss,
    TripletLoss,
    partners,
)
from dltools.meters import collect
from tests.hostreads import count_host_reads

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 5, 7, 1])
MASK = torch.tensor([1, 1, 1, 1, 1, 0, 1, 1, 0, 1]).bool()
Term = Callable[[int, list[int], list[int]], float]


def embeddings(seed: int = 0) -> Tensor:
    return torch.randn(10, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mean_over_anchors(term: Term, needs: str, weights: Any = None) -> float:
    """Of those that count and have what the loss needs: positives, negatives or either."""
    top = bottom = 0.0
    keep = [i for i in range(10) if MASK[i]]
    for i in keep:
        same = [j for j in keep if j != i and LABELS[j] == LABELS[i]]
        other = [j for j in keep if LABELS[j] != LABELS[i]]
        if {"partner": same or other, "positive": same, "both": same and other}[needs]:
            weight = 1.0 if weights is None else float(weights[i])
            top, bottom = top + weight * term(i, same, other), bottom + weight
    return top / bottom


def distance_table(x: Tensor, kind: str) -> Any:
    metric = {"squared": "sqeuclidean", "euclidean": "euclidean", "cosine": "cosine"}[kind]
    return pairwise_distances(x.numpy(), metric=metric)


@pytest.mark.parametrize("kind", ["squared", "euclidean", "cosine"])
@pytest.mark.parametrize("mining", ["hard", "semihard", "all"])
@pytest.mark.parametrize("margin", [0.0, 0.2, 2.0])
def test_triplets(kind: Any, mining: Any, margin: float) -> None:
    x = embeddings()
    d = distance_table(x, kind)

    def hard(i: int, same: list[int], other: list[int]) -> float:
        return max(0.0, max(d[i, j] for j in same) - min(d[i, k] for k in other) + margin)

    def semihard(i: int, same: list[int], other: list[int]) -> float:
        chosen = {j: min((d[i, k] for k in other if d[i, k] > d[i, j]), default=d[i, other].max()) for j in same}
        return float(np.mean([max(0.0, d[i, j] - chosen[j] + margin) for j in same]))

    def every(i: int, same: list[int], other: list[int]) -> float:
        return float(np.mean([max(0.0, d[i, j] - d[i, k] + margin) for j in same for k in other]))

    expected = mean_over_anchors({"hard": hard, "semihard": semihard, "all": every}[mining], "both")
    loss = TripletLoss(margin=margin, mining=mining, distance=kind)
    assert loss(x, LABELS, mask=MASK).item() == pytest.approx(expected, rel=1e-11)


def test_triplets_of_torch() -> None:
    x = embeddings()[:3]
    theirs = F.triplet_margin_loss(x[:1], x[1:2], x[2:], margin=3.0, eps=0) + F.triplet_margin_loss(
        x[1:2], x[:1], x[2:], margin=3.0, eps=0
    )
    ours = TripletLoss(margin=3.0, distance="euclidean", mining="all")(x, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(ours, theirs / 2, rtol=1e-12, atol=0)


def test_contrasts_are_the_mean_over_all_pairs() -> None:
    x = embeddings()
    d = distance_table(x, "euclidean")
    keep = [i for i in range(10) if MASK[i]]
    pairs = [(i, j) for i in keep for j in keep if i < j]
    each = [d[i, j] ** 2 / 2 if LABELS[i] == LABELS[j] else max(0.0, 1.5 - d[i, j]) ** 2 / 2 for i, j in pairs]
    assert ContrastiveLoss(margin=1.5)(x, LABELS, mask=MASK).item() == pytest.approx(float(np.mean(each)), rel=1e-11)


@pytest.mark.parametrize("tau", [0.07, 1.0])
def test_cross_entropies_of_pairs(tau: float) -> None:
    x = embeddings()
    e = np.exp(cosine_similarity(x.numpy()) / tau)

    def nt_xent(i: int, same: list[int], other: list[int]) -> float:
        return float(np.mean([-math.log(e[i, j] / (e[i, j] + sum(e[i, k] for k in other))) for j in same]))

    def sup_con(i: int, same: list[int], other: list[int]) -> float:
        return float(np.mean([-math.log(e[i, j] / sum(e[i, k] for k in same + other)) for j in same]))

    for cls, term in ((NTXentLoss, nt_xent), (SupConLoss, sup_con)):
        weights = torch.arange(1, 11, dtype=torch.float64)
        expected = mean_over_anchors(term, "positive", weights)
        found = cls(temperature=tau)(x, LABELS, mask=MASK, weight_map=weights)
        assert found.item() == pytest.approx(expected, rel=1e-11)
    assert InfoNCELoss is NTXentLoss


def test_two_views_are_a_cross_entropy_over_all_others() -> None:
    x = embeddings()
    unit = F.normalize(x)
    logits = (unit @ unit.T / 0.5).fill_diagonal_(-torch.inf)
    expected = F.cross_entropy(logits, (torch.arange(10) + 5) % 10)
    for cls in (NTXentLoss, SupConLoss):
        found = cls(temperature=0.5)(x, torch.arange(5).repeat(2))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("alpha", "beta", "base", "epsilon"), [(2.0, 50.0, 1.0, 0.1), (2.0, 40.0, 0.5, 0.3)])
def test_multi_similarity(alpha: float, beta: float, base: float, epsilon: float) -> None:
    x = embeddings()
    s = cosine_similarity(x.numpy())

    def term(i: int, same: list[int], other: list[int]) -> float:
        most = max((s[i, k] for k in other), default=-math.inf)
        least = min((s[i, j] for j in same), default=math.inf)
        near = sum(math.exp(-alpha * (s[i, j] - base)) for j in same if s[i, j] < most + epsilon)
        far = sum(math.exp(beta * (s[i, k] - base)) for k in other if s[i, k] > least - epsilon)
        return math.log1p(near) / alpha + math.log1p(far) / beta

    loss = MultiSimilarityLoss(alpha=alpha, beta=beta, base=base, epsilon=epsilon)
    assert loss(x, LABELS, mask=MASK).item() == pytest.approx(mean_over_anchors(term, "partner"), rel=1e-11)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_margins_of_angle_and_cosine(margin: float) -> None:
    x, m = embeddings(), margin
    for cls in (ArcFaceLoss, CosFaceLoss):
        loss = cls(num_classes=8, dim=4, scale=5.0, margin=m).double()
        cos = torch.from_numpy(cosine_similarity(x.numpy(), loss.weight.detach().numpy()))
        own = cos.gather(1, LABELS.unsqueeze(1))
        angle = own.arccos()
        arc = torch.where(angle + m <= math.pi, (angle + m).cos(), own - m * math.sin(m))
        narrowed = cos.scatter(1, LABELS.unsqueeze(1), arc if cls is ArcFaceLoss else own - m)
        expected = F.cross_entropy(5 * narrowed[MASK], LABELS[MASK])
        torch.testing.assert_close(loss(x, LABELS, mask=MASK).detach(), expected, rtol=1e-11, atol=0)
        loss(x, LABELS).backward()
        assert loss.weight.grad is not None
        assert bool(loss.weight.grad.isfinite().all())
        assert torch.equal(cls(num_classes=8, dim=4).weight, cls(num_classes=8, dim=4).weight)


EVERY: list[Loss[Any]] = [
    *(
        TripletLoss(mining=m, distance=d, margin=1.0)
        for m in ("hard", "semihard", "all")
        for d in ("squared", "cosine")
    ),
    TripletLoss(distance="euclidean", margin=1.0),
    ContrastiveLoss(margin=2.0),
    NTXentLoss(),
    SupConLoss(),
    MultiSimilarityLoss(),
    ArcFaceLoss(num_classes=8, dim=4),
    CosFaceLoss(num_classes=8, dim=4),
]


@pytest.mark.parametrize("loss", EVERY)
def test_derivatives_and_what_is_excluded(loss: Any) -> None:
    x = embeddings(1).requires_grad_()
    assert gradcheck(lambda y: loss(y, LABELS, mask=MASK), x)
    assert gradgradcheck(lambda y: loss(y, LABELS, mask=MASK), x)
    expected = loss(x[MASK], LABELS[MASK])
    for extra, labels in (
        ({"mask": MASK}, LABELS),
        ({"weight_map": MASK.double()}, LABELS),
        ({}, LABELS.masked_fill(~MASK, 3)),
    ):
        junk = x.detach().masked_fill(~MASK.unsqueeze(1), torch.nan).requires_grad_()
        with count_host_reads() as reads:
            found = type(loss)(loss.cfg.replace(ignore_index=3))(junk, labels, **extra)
            found.backward()
        assert reads.count == 0
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
        assert junk.grad is not None
        assert bool(junk.grad.isfinite().all())
        assert not junk.grad[~MASK].any()


@pytest.mark.parametrize("loss", EVERY)
def test_values_and_slopes_are_finite(loss: Any) -> None:
    signs = torch.randn(10, 4, generator=torch.Generator().manual_seed(2)).sign()
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        for height in (0.0, 1e4, -1e4, 6e-8):
            for pattern in (torch.ones(10, 4), torch.eye(10)[:, :4], signs):
                x = (pattern * height).to(dtype).requires_grad_()
                found = loss(x, LABELS)
                found.backward()
                assert found.dtype == torch.float32
                assert x.grad is not None
                assert bool(torch.cat([found.detach().view(1), x.grad.flatten().float()]).isfinite().all())


@pytest.mark.parametrize("loss", EVERY)
def test_nobody_to_compare_with(loss: Any) -> None:
    needs = loss.needs
    for labels in (torch.tensor([4]), torch.arange(3), torch.zeros(3, dtype=torch.int64)):
        x = embeddings()[: len(labels)].requires_grad_()
        found = loss(x, labels)
        found.backward()
        alone = len(labels) == 1 or needs == "both" or (needs == "positive" and bool(labels.any()))
        assert bool(found.isfinite())
        assert found.item() == 0 or needs == "nothing" or not alone


def test_labels_out_of_range_are_left_out_and_counted() -> None:
    loss = ArcFaceLoss(num_classes=6, dim=4)
    found = loss(embeddings(), LABELS)
    expected = loss(embeddings()[LABELS < 6], LABELS[LABELS < 6])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    other = SupConLoss()
    other(embeddings(), LABELS - 1)
    with pytest.warns(UserWarning, match="out of range"):
        assert (collect({"a": loss})["a/bad_targets"], collect({"a": other})["a/bad_targets"]) == (1, 3)
    with pytest.raises(
        DltoolsError, match="labels from 0 to 7. Expected labels 0 to 5, or ignore_index, which is None"
    ):
        ArcFaceLoss(num_classes=6, dim=4, check=True)(embeddings(), LABELS)


def test_shapes_that_do_not_fit() -> None:
    x = embeddings()
    for pred, target in (
        (x, LABELS[:9]),
        (x, LABELS.double()),
        (x[0], LABELS),
        (x.long(), LABELS),
        (x, LABELS[:, None]),
    ):
        with pytest.raises(ShapeError, match=r"embeddings \(N, D\) of floats, labels \(N,\) of integers"):
            SupConLoss()(pred, target)
    with pytest.raises(ShapeError, match=r"embeddings \(10, 4\), dim 5.*dim=4"):
        CosFaceLoss(num_classes=8, dim=5)(x, LABELS)
    with pytest.raises(ShapeError, match=r"mask \(10, 1\)"):
        SupConLoss(ignore_index=1)(x, LABELS, mask=MASK[:, None])


def test_who_is_partner_of_whom() -> None:
    same, other = partners(torch.tensor([3, -1, 3, 4]))
    assert same.nonzero().tolist() == [[0, 2], [2, 0]]
    assert other.nonzero().tolist() == [[0, 3], [2, 3], [3, 0], [3, 2]]


class PullLossCfg(EmbeddingLossCfg["PullLoss"]):
    pass


class PullLoss(EmbeddingLoss[PullLossCfg]):
    """A loss of a user's own."""

    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        same, _ = partners(labels)
        return (same * torch.cdist(x, x)).sum(1)


def test_a_loss_of_ones_own() -> None:
    x = embeddings()
    d = distance_table(x, "euclidean")
    expected = mean_over_anchors(lambda i, same, _: float(d[i, same].sum()), "positive")
    assert PullLoss()(x, LABELS, mask=MASK).item() == pytest.approx(expected, rel=1e-11)
    assert PullLoss(reduction="none")(x, LABELS).shape == (10,)
