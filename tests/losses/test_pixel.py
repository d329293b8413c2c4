"""The bases of pixel losses against loops: sides, smoothing, class weights; and means of classes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.losses import View
from dltools.losses.dense import DenseLossCfg
from dltools.losses.distutils import Sums
from dltools.losses.field import ChosenLoss, FieldLossCfg
from dltools.losses.pixel import SidedPixelLoss

S = 0.2


class SidedLossCfg(DenseLossCfg["SidedLoss"]):
    pass


class SidedLoss(SidedPixelLoss[SidedLossCfg]):
    """Negative log-likelihood, thrice as much where the target is the class."""

    def setup(self) -> None:
        self.smoothing = S

    def pixel(self, log_p: Tensor, positive: Tensor) -> Tensor:
        return torch.where(positive, -3 * log_p, -log_p)


def by_hand(task: str, x: list[float], y: list[float], weights: list[float]) -> list[float]:
    """The loss of one element's channels; a single number if the task is multiclass, whose y are shares."""
    if task == "multiclass":
        log_p = [v - math.log(sum(map(math.exp, x))) for v in x]
        told = sum(-3 * p * share * w for p, share, w in zip(log_p, y, weights, strict=True))
        mean = sum(-3 * p * w for p, w in zip(log_p, weights, strict=True)) / len(x)
        return [(1 - S) * told + S * mean]
    out = []
    for v, share, w in zip(x, y, weights, strict=True):
        yes, no = 3 * math.log1p(math.exp(-v)), math.log1p(math.exp(v))
        out.append(w * ((1 - S) * (share * yes + (1 - share) * no) + S * (yes + no) / 2))
    return out


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_a_target_that_goes_evenly_to_all(task: Any, soft: bool, weighted: bool) -> None:
    gen = torch.Generator().manual_seed(0)
    channels = 1 if task == "binary" else 3
    pred = torch.randn(2, channels, 4, generator=gen, dtype=torch.float64)
    if task == "multiclass":
        labels = torch.randint(0, 3, (2, 4), generator=gen)
        hard = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).double()
        target = torch.rand(2, 3, 4, generator=gen, dtype=torch.float64).softmax(1) if soft else labels
        shares = target if soft else hard
    else:
        target = torch.rand(2, channels, 4, generator=gen, dtype=torch.float64)
        target = target if soft else (target > 0.5).long()
        shares = target
    weights = [2.0, 0.5, 1.0][:channels] if weighted and task != "binary" else [1.0] * channels
    loss = SidedLoss(
        task=task, reduction="none", class_weights=tuple(weights) if weighted and task != "binary" else None
    )
    found = loss(pred, target)
    found = found.unsqueeze(1) if found.ndim == 2 else found
    for n in range(2):
        for s in range(4):
            expected = by_hand(task, pred[n, :, s].tolist(), shares[n, :, s].tolist(), weights)
            assert found[n, :, s].tolist() == pytest.approx(expected, rel=1e-9)


class ClassMeanLossCfg(FieldLossCfg["ClassMeanLoss"]):
    pass


class ClassMeanLoss(ChosenLoss[ClassMeanLossCfg]):
    """The mean probability of each class."""

    def sums(self, view: View) -> Sums:
        field, weight = self.weighted(passed := self.look(view), passed.prob)
        return {"loss": field.sum((0, 2)), "weight": weight}

    def value(self, sums: Sums) -> Tensor:
        return self.reduced(sums["loss"], sums["weight"])


@pytest.mark.parametrize("classes", [None, (0, 2)])
@pytest.mark.parametrize("weights", [None, (2.0, 3.0, 0.5)])
def test_means_of_classes(classes: tuple[int, ...] | None, weights: tuple[float, ...] | None) -> None:
    gen = torch.Generator().manual_seed(0)
    prob = torch.rand(2, 3, 5, generator=gen, dtype=torch.float64)
    prob /= prob.sum(1, keepdim=True)
    target = torch.randint(0, 3, (2, 5), generator=gen)
    target[0, 1] = 255
    fields: dict[str, Any] = {"holds": "probs", "ignore_index": 255, "classes": classes, "class_weights": weights}
    shares = [(weights or (1.0,) * 3)[c] if classes is None or c in classes else 0.0 for c in range(3)]
    means = [prob[:, c][target != 255].mean().item() * share for c, share in enumerate(shares)]
    found = {how: ClassMeanLoss(**fields, reduction=how)(prob, target) for how in ("none", "sum", "mean")}
    assert found["none"].dtype == torch.float64
    assert found["none"].tolist() == pytest.approx(means, rel=1e-7)
    assert found["sum"].item() == pytest.approx(9 * sum(means), rel=1e-7)
    assert found["mean"].item() == pytest.approx(sum(means) / sum(shares), rel=1e-7)
