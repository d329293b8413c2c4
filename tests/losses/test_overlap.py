"""The base of overlap losses against a loop over samples and classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.functional.counts import OverlapCounts
from dltools.losses.overlap import OverlapLoss, OverlapLossCfg

N, C, S = 3, 4, 6


class HitLossCfg(OverlapLossCfg["HitLoss"]):
    pass


class HitLoss(OverlapLoss[HitLossCfg]):
    """One minus the share of the target that is found."""

    def score(self, counts: OverlapCounts) -> Tensor:
        assert bool((counts.target > 0).all()), "a class that is absent"
        assert bool((counts.total > counts.target).all()), "nothing beside the target"
        return counts.inter / counts.target


def scene() -> tuple[Tensor, Tensor]:
    """Class 3 is absent, class 2 from all but the first sample; nothing of the last sample counts."""
    gen = torch.Generator().manual_seed(0)
    prob = torch.rand(N, C, S, generator=gen, dtype=torch.float64)
    target = torch.randint(0, 2, (N, S), generator=gen)
    target[0, 0] = 2
    target[1, 3], target[2] = 255, 255
    return prob / prob.sum(1, keepdim=True), target


def of_class(prob: Tensor, target: Tensor, empty: str) -> float | None:
    """The loss of a class where (S,) pixels count; None where it is left out."""
    kept = [(float(p), float(y)) for p, y in zip(prob, target, strict=True) if y >= 0]
    found, there = sum(p * y for p, y in kept), sum(y for _, y in kept)
    if there:
        return 1 - found / there
    if not kept or empty == "skip":
        return None
    return sum(p for p, _ in kept) / len(kept) if empty == "score" else 0.0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("over", ["batch", "sample"])
@pytest.mark.parametrize("empty", ["skip", "score", "zero"])
@pytest.mark.parametrize("classes", [None, (0, 3), (2, 1)])
@pytest.mark.parametrize("weights", [None, (2.0, 0.5, 0.0, 3.0)])
def test_a_loss_is_its_loop(reduction: Any, over: Any, empty: Any, classes: Any, weights: Any) -> None:
    if reduction == "none" and over == "batch":
        reduction = "mean"
    prob, target = scene()
    fields: dict[str, Any] = {"holds": "probs", "ignore_index": 255, "classes": classes, "class_weights": weights}
    losses, shares = [], []
    for n in range(N) if over == "sample" else [slice(None)]:
        for c in range(C):
            here = torch.where(target[n] == 255, -1, (target[n] == c).long())
            loss = of_class(prob[n].movedim(-2, 0)[c].flatten(), here.flatten(), empty)
            share = (weights or (1.0,) * C)[c] if classes is None or c in classes else 0.0
            losses.append(0.0 if loss is None else loss * share)
            shares.append(0.0 if loss is None else share)
    found = HitLoss(**fields, empty=empty, over=over, reduction=reduction)(prob, target)
    if reduction == "none":
        assert found.flatten().tolist() == pytest.approx(losses, rel=1e-9)
    else:
        total = sum(shares) if reduction == "mean" else 1.0
        assert found.item() == pytest.approx(sum(losses) / total if total else 0.0, rel=1e-9)


def test_a_class_that_does_not_count_may_be_infinite() -> None:
    class EndlessLoss(OverlapLoss[HitLossCfg]):
        def score(self, counts: OverlapCounts) -> Tensor:
            return (counts.inter / counts.target).masked_fill(torch.tensor([False, False, True, False]), torch.inf)

    prob, target = scene()
    for fields in ({"classes": (0, 1)}, {"class_weights": (1.0, 1.0, 0.0, 1.0)}):
        loss = EndlessLoss(HitLossCfg(holds="probs", ignore_index=255, **fields))  # type: ignore[arg-type]
        assert loss(prob, target).item() == pytest.approx(
            HitLoss(holds="probs", ignore_index=255, classes=(0, 1))(prob, target).item()
        )
