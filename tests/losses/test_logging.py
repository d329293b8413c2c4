"""What a loss tells of its calls, without reading the device for it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from dltools.losses import (
    CELoss,
    CELossCfg,
    Combine,
    CombineCfg,
    DiceLoss,
    DiceLossCfg,
    LinearWeightCfg,
    Loss,
    LossCfg,
    View,
)
from dltools.meters import collect
from tests.hostreads import count_host_reads
from tests.losses import reference as ref


def combined() -> Combine:
    weights = {"dice": LinearWeightCfg(first=1.0, last=0.0, steps=4)}
    terms = {"ce": CELossCfg(label_smoothing=0.1), "dice": DiceLossCfg(ignore_index=255)}
    return Combine(terms=terms, weights=weights)


def test_names() -> None:
    loss = combined()
    loss(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64))
    report = collect({"train": loss})
    assert list(report) == [
        "train/loss",
        "train/ce",
        "train/dice",
        "train/ce.weight",
        "train/dice.weight",
        "train/bad_targets",
    ]
    assert report["train/ce"] == pytest.approx(math.log(3))
    assert report["train/dice"] == pytest.approx(0.5)
    assert report["train/loss"] == pytest.approx(math.log(3) + 0.5)
    nested = Combine(terms={"in": CombineCfg(terms={"ce": CELossCfg()})})
    assert set(collect({"": nested})) == {"loss", "bad_targets", "in", "in.weight", "in/ce", "in/ce.weight"}


def test_means_weigh_samples_and_leave_out_what_has_none() -> None:
    loss, total, n = CELoss(ignore_index=255), 0.0, 0
    for seed, size in ((0, 3), (1, 1), (2, 5)):
        pred, target = ref.batch(seed, size, 3, 4)
        total, n = total + loss(pred, target).item() * size, n + size
    loss(torch.zeros(7, 3, 4), torch.full((7, 4), 255))
    loss(torch.zeros(0, 3, 4), torch.zeros(0, 4, dtype=torch.int64))
    report = collect({"a": loss})
    assert report["a/loss"] == pytest.approx(total / n, rel=1e-12)
    assert report.n["a/loss"] == n
    assert report.n["a/bad_targets"] == 5
    assert loss.meters["loss"].value == pytest.approx(total / n, rel=1e-12)
    loss.reset()
    assert math.isnan(collect({"a": loss})["a/loss"])


def test_batches_that_are_not_finite_are_counted_and_left_out() -> None:
    loss = combined()
    target = torch.zeros(2, 4, dtype=torch.int64)
    for x in (0.0, torch.nan, 0.0, torch.inf):
        loss(torch.full((2, 3, 4), x), target)
    report = collect({"train": loss})
    assert report.invalid["train/loss"] == 2 == report.invalid["train/dice"]
    assert report["train/loss"] == pytest.approx(math.log(3) + 0.5)
    assert report.n["train/loss"] == 4


@pytest.mark.parametrize("num_calls", [1, 63, 64, 65, 200])
def test_values_that_wait_are_never_lost(num_calls: int) -> None:
    loss, exact = DiceLoss(), []
    for seed in range(num_calls):
        pred, target = ref.batch(seed, 1, 2, 3)
        with torch.inference_mode(seed % 3 == 0):
            exact.append(loss(pred, target).item())
    assert collect({"a": loss})["a/loss"] == pytest.approx(math.fsum(exact) / num_calls, rel=1e-12)
    state = loss.meters.state_dict()
    again = DiceLoss()
    again(*ref.batch(0, 1, 2, 3))
    again.meters.load_state_dict(state)
    assert dict(collect({"a": again})) == dict(collect({"a": loss}))


def test_elements_are_logged_by_their_mean() -> None:
    pred, target = ref.batch(0, 2, 3, 4)
    loss = CELoss(reduction="none")
    values = loss(pred, target)
    assert collect({"a": loss})["a/loss"] == pytest.approx(values.mean().item(), rel=1e-12)
    assert torch.equal(loss.parts()["loss"].to(values), values)


@pytest.mark.parametrize(
    "loss",
    [
        combined(),
        CELoss(),
        DiceLoss(over="sample", class_weights=(1.0, 2.0, 3.0), classes=(0, 2)),
        Combine(terms={"a": CELossCfg(), "b": DiceLossCfg()}, routes={"a": ("0", "0"), "b": ("1", "0")}),
    ],
)
def test_no_host_read_until_somebody_collects(loss: Loss[Any]) -> None:
    pred, target = torch.zeros(2, 3, 4, requires_grad=True), torch.zeros(2, 4, dtype=torch.uint8)
    routed = isinstance(loss, Combine) and bool(loss.cfg.routes)
    mask, weight_map = torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 4)
    with count_host_reads() as reads:
        for _ in range(70):
            given = ([pred, pred], [target]) if routed else (pred, target)
            loss(*given, mask=mask, weight_map=weight_map).backward()
        loss.parts()
    assert reads.count == 0
    with count_host_reads() as reads:
        CELoss(check=True)(pred, target)
    assert reads.count > 0


class GapLossCfg(LossCfg["GapLoss"]):
    pass


class GapLoss(Loss[GapLossCfg]):
    """Reads nested tensors by itself."""

    def sums(self, view: View) -> dict[str, torch.Tensor]:
        first, second = ((view.pred["features"][i] - view.target[i]).double().sum() for i in range(2))
        return {"gap": first + second}

    def value(self, sums: dict[str, torch.Tensor]) -> torch.Tensor:
        return sums["gap"]


@pytest.mark.parametrize(("dtype", "of_loss"), [(torch.float16, torch.float32), (torch.float64, torch.float64)])
def test_a_loss_that_reads_nested_tensors_by_itself(dtype: torch.dtype, of_loss: torch.dtype) -> None:
    loss = GapLoss()
    features = [torch.ones(3, 2, dtype=dtype), torch.ones(3, 4, dtype=dtype)]
    value = loss({"step": 7, "features": features}, [torch.zeros(3, 2), torch.zeros(3, 4)])
    assert (value.item(), value.dtype) == (18, of_loss)
    report = collect({"gap": loss})
    assert (report["gap/loss"], report.n["gap/loss"], report["gap/bad_targets"]) == (18, 3, 0)
