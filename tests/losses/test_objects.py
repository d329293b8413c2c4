"""Losses as objects: copied, pickled, sent to processes, printed, saved."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

import dltools.losses
from dltools.cfgutils import build, dump, load
from dltools.functional import OverlapCounts
from dltools.losses import (
    CELoss,
    Combine,
    CombineCfg,
    CosineWeightCfg,
    DiceLoss,
    DiceLossCfg,
    FocalLoss,
    FocalLossCfg,
    Loss,
    LossCfg,
    OverlapLoss,
    OverlapLossCfg,
    TverskyLoss,
)
from dltools.meters import collect
from tests.losses import reference as ref

MADE: list[Loss[Any]] = [
    CELoss(label_smoothing=0.1, ignore_index=255, class_weights=(1.0, 2.0, 0.5)),
    FocalLoss(gamma=1.5),
    DiceLoss(classes=(0, 2), over="sample"),
    TverskyLoss(alpha=0.3, beta=0.7, empty="score"),
    Combine(
        terms={"dice": DiceLossCfg(), "in": CombineCfg(terms={"focal": FocalLossCfg()})},
        weights={"in": CosineWeightCfg(first=1.0, last=0.0, steps=10)},
    ),
]
made = pytest.mark.parametrize("loss", MADE, ids=lambda loss: type(loss).__name__)
PRED, TARGET = ref.batch(0, 2, 3, 5)


def call(loss: Loss[Any]) -> Tensor:
    value: Tensor = loss(PRED, TARGET)
    return value


def call_and_collect(loss: Loss[Any], results: Any) -> None:
    torch.set_num_threads(1)
    results.put((call(loss).item(), dict(collect({"a": loss}))))


@made
def test_copies_keep_config_state_and_meters_apart(loss: Loss[Any]) -> None:
    loss = copy.deepcopy(loss)
    call(loss)
    if isinstance(loss, Combine):
        loss.step(4)
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert again.cfg == loss.cfg
        assert dict(collect({"a": again})) == dict(collect({"a": loss}))
        assert torch.equal(call(again), call(copy.deepcopy(loss)))
        before = dict(collect({"a": loss}))
        call(again)
        assert dict(collect({"a": loss})) == before
        again.reset()
        assert dict(collect({"a": loss})) == before


def test_a_loss_works_in_a_spawned_process() -> None:
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    loss = copy.deepcopy(MADE[-1])
    expected = call(loss).item()
    process = context.Process(target=call_and_collect, args=(loss, results))
    process.start()
    value, report = results.get()
    process.join()
    assert value == expected
    call(loss)
    assert report == dict(collect({"a": loss}))


@made
def test_repr_reads_back(loss: Loss[Any]) -> None:
    again = eval(repr(loss), {name: getattr(dltools.losses, name) for name in dir(dltools.losses)})
    assert again.cfg == loss.cfg
    assert build(load(LossCfg, dump(loss.cfg))).cfg == loss.cfg


@made
def test_state_holds_steps_but_no_meters(loss: Loss[Any]) -> None:
    loss = copy.deepcopy(loss)
    before = {name: x.clone() for name, x in loss.state_dict().items()}
    assert all(name.endswith("schedule_step") for name in before)
    call(loss)
    assert all(torch.equal(x, before[name]) for name, x in loss.state_dict().items())
    assert not list(loss.parameters())


def test_tags_of_other_names_load() -> None:
    for tag in ("CE", "CrossEntropyLoss"):
        assert type(build(load(LossCfg, f"type: {tag}"))) is CELoss
    for tag in ("F1Loss", "SoftDICE", "SoftDiceLoss"):
        assert type(build(load(LossCfg, f"type: {tag}"))) is DiceLoss
    assert type(build(load(LossCfg, "type: TverskiyLoss\nalpha: 0.3"))) is TverskyLoss


def test_nothing_before_the_first_call() -> None:
    loss = DiceLoss()
    assert loss.parts() == {}
    value = call(loss)
    assert loss.parts().keys() == {"loss"}
    assert torch.equal(loss.parts()["loss"], value)


class SquaredLossCfg(OverlapLossCfg["SquaredLoss"]):
    pass


class SquaredLoss(OverlapLoss[SquaredLossCfg]):
    """Dice with squares below, Milletari et al. 2016."""

    def score(self, counts: OverlapCounts) -> Tensor:
        return 2 * counts.inter / (counts.pred_sq + counts.target_sq)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_of_ones_own_takes_four_lines(soft: bool, weighted: bool) -> None:
    pred, target = ref.batch(1, 2, 3, 5, soft=soft)
    weight_map = torch.rand(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pred.requires_grad_()
    loss = SquaredLoss()(pred, target, weight_map=weight_map if weighted else None)
    p, w = pred.softmax(1), weight_map.unsqueeze(1) if weighted else torch.ones(2, 1, 5, dtype=torch.float64)
    y = target if soft else torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
    below = (w * (p * p + y * y)).sum((0, 2))
    expected = (1 - 2 * (w * p * y).sum((0, 2)) / below).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-13, atol=0)
    one, two = (torch.autograd.grad(x, pred)[0] for x in (loss, expected))
    torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-15)
    assert type(build(load(LossCfg, "type: SquaredLoss"))) is SquaredLoss
    assert torch.autograd.gradcheck(lambda x: SquaredLoss()(x, target), pred)
    assert torch.autograd.gradgradcheck(lambda x: SquaredLoss()(x, target), pred)
