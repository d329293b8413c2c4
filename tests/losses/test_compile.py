"""Whole graphs: losses compile without a break and give what they give in eager mode."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.losses import (
    CELoss,
    CELossCfg,
    Combine,
    DiceLoss,
    DiceLossCfg,
    FocalLoss,
    FocalLossCfg,
    LinearWeightCfg,
    Loss,
    TverskyLoss,
    TverskyLossCfg,
)
from dltools.meters import collect
from tests.losses import reference as ref

CASES: list[tuple[Any, dict[str, Any]]] = [
    (CELoss, {"label_smoothing": 0.1, "class_weights": (1.0, 2.0, 0.5)}),
    (FocalLoss, {"gamma": 1.5}),
    (FocalLoss, {"task": "binary", "alpha": 0.25, "normalizer": "positives"}),
    (DiceLoss, {"empty": "score", "classes": (0, 2)}),
    (TverskyLoss, {"over": "sample", "alpha": 0.3, "task": "multilabel"}),
]


def combined() -> Combine:
    terms = {"ce": CELossCfg(), "dice": DiceLossCfg(), "tversky": TverskyLossCfg(alpha=0.3), "focal": FocalLossCfg()}
    return Combine(terms=terms, weights={"ce": LinearWeightCfg(first=1.0, last=0.5, steps=4)})


def run(loss: Any, pred: Tensor, target: Tensor, **extra: Any) -> tuple[Tensor, Tensor]:
    pred = pred.detach().requires_grad_()
    value = loss(pred, target, **extra)
    value.backward()
    assert pred.grad is not None
    return value.detach(), pred.grad


def same(loss: Loss[Any], other: Loss[Any], backend: str, pred: Tensor, target: Tensor, calls: int = 1) -> None:
    weight_map = torch.rand(2, *pred.shape[2:], generator=torch.Generator().manual_seed(0)).double()
    mask = weight_map > 0.3
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    for _ in range(calls):
        for one, two in zip(
            run(compiled, pred, target, mask=mask, weight_map=weight_map),
            run(other, pred, target, mask=mask, weight_map=weight_map),
            strict=True,
        ):
            torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-14)
        for either in (loss, other):
            if isinstance(either, Combine):
                either.step()
    assert dict(collect({"a": loss})) == pytest.approx(dict(collect({"a": other})), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("cls", "fields"), CASES)
def test_each_loss_is_one_graph(cls: Any, fields: dict[str, Any]) -> None:
    task = fields.get("task", "multiclass")
    pred, target = ref.batch(0, 2, 1 if task == "binary" else 3, 4, 5, task=task)
    same(cls(**fields), cls(**fields), "eager", pred, target)


@pytest.mark.parametrize("num_classes", [1, 3, 127, 128, 130])
def test_every_label_is_read_alike(num_classes: int) -> None:
    task = "binary" if num_classes == 1 else "multiclass"
    generator = torch.Generator().manual_seed(num_classes)
    pred = torch.randn(2, num_classes, 4, 40, generator=generator, dtype=torch.float64)
    top = max(2, num_classes)
    target = torch.randint(0, top, (2, 4, 40), generator=generator)
    target[0, 0, :8] = torch.tensor([top - 1, top, top + 127, 255, 256, -1, -100, 2**40])
    terms = {
        "dice": DiceLossCfg(task=task, ignore_index=255, empty="score"),
        "focal": FocalLossCfg(task=task, ignore_index=255),
    }
    with pytest.warns(UserWarning, match="have a label out of range"):
        same(Combine(terms=terms), Combine(terms=terms), "aot_eager", pred, target)


def test_combine_is_one_graph_for_all_steps() -> None:
    pred, target = ref.batch(1, 2, 3, 4, 5)
    same(combined(), combined(), "aot_eager", pred, target, calls=4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, by its own compiler
def test_a_loss_compiles_to_code() -> None:
    pred, target = ref.batch(2, 2, 3, 4, 5)
    same(DiceLoss(), DiceLoss(), "inductor", pred, target)
