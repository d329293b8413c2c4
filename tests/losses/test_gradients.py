"""First and second derivatives in float64 against finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.losses import CELoss, CELossCfg, Combine, DiceLoss, DiceLossCfg, FocalLoss, TverskyLoss, TverskyLossCfg
from tests.losses import reference as ref

LOSSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "ce": (CELoss, {}),
    "smooth": (CELoss, {"label_smoothing": 0.2}),
    "focal": (FocalLoss, {}),
    "focal .5": (FocalLoss, {"gamma": 0.5}),
    "focal 1.5": (FocalLoss, {"gamma": 1.5}),
    "dice": (DiceLoss, {"empty": "score"}),
    "dice per sample": (DiceLoss, {"over": "sample"}),
    "tversky": (TverskyLoss, {"alpha": 0.3, "beta": 0.6}),
}
CASES = [
    ("multiclass", "logits", False),
    ("multiclass", "probs", False),
    ("multiclass", "log_probs", True),
    ("multiclass", "logits", True),
    ("multilabel", "logits", False),
    ("multilabel", "probs", True),
    ("binary", "log_probs", False),
]


def leaf(task: str, holds: str, soft: bool) -> tuple[Tensor, Tensor]:
    pred, target = ref.batch(1, 2, {"multiclass": 3, "multilabel": 2, "binary": 1}[task], 3, task=task, soft=soft)
    if holds != "logits":
        pred = 0.1 + 0.8 * pred.sigmoid()
        pred = pred.log() if holds == "log_probs" else pred
    return pred.requires_grad_(), target


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("task", "holds", "soft"), CASES)
def test_derivatives(name: str, task: str, holds: str, soft: bool) -> None:
    cls, fields = LOSSES[name]
    weights = (0.5, 2.0, 1.5)[: {"multiclass": 3, "multilabel": 2, "binary": 1}[task]]
    loss = cls(task=task, holds=holds, class_weights=weights, **fields)
    pred, target = leaf(task, holds, soft)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    weight_map = torch.tensor([[0.5, 1.0, 1.0], [2.0, 0.0, 1.0]])

    def value(x: Tensor) -> Any:
        return loss(x, target, mask=mask, weight_map=weight_map)

    assert gradcheck(value, pred)
    assert gradgradcheck(value, pred)


def test_derivatives_of_a_sum_of_losses() -> None:
    terms = {"ce": CELossCfg(), "dice": DiceLossCfg(), "tversky": TverskyLossCfg(over="sample", alpha=0.3)}
    loss = Combine(terms=terms, weights={"dice": 0.7})
    pred, target = leaf("multiclass", "logits", False)
    assert gradcheck(lambda x: loss(x, target), pred)
    assert gradgradcheck(lambda x: loss(x, target), pred)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
@pytest.mark.parametrize("holds", ["logits", "probs", "log_probs"])
def test_focal_loss_of_what_is_certain_is_flat(gamma: float, holds: str) -> None:
    pred = {
        "logits": torch.tensor([[50.0, -50.0, -50.0]]),
        "probs": torch.tensor([[1.0, 0.0, 0.0]]),
        "log_probs": torch.tensor([[0.0, -9.0, -9.0]]),
    }[holds]
    pred.requires_grad_()
    loss = FocalLoss(gamma=gamma, holds=holds)(pred, torch.tensor([0]))
    (slope,) = torch.autograd.grad(loss, pred, create_graph=True)
    assert loss.item() == 0
    if gamma:  # 0 is cross entropy, whose slope by log p is -1
        assert slope.abs().max() == 0
    if slope.requires_grad:
        (curve,) = torch.autograd.grad(slope.sum(), pred)
        assert bool(curve.isfinite().all())
