"""An error in a user's own method: few frames of ours stand between the call and the line that failed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import dltools
from dltools.cfgutils import build
from dltools.errors import DltoolsError
from dltools.functional import OnePass, OverlapCounts
from dltools.handlers import Clip, ClipCfg, Gradients, Skip, SkipCfg, StepHandlerCfg
from dltools.losses import (
    BoxLoss,
    BoxLossCfg,
    Combine,
    DenseLossCfg,
    ElementLoss,
    ElementLossCfg,
    EmbeddingLoss,
    EmbeddingLossCfg,
    FieldLoss,
    FieldLossCfg,
    OverlapLoss,
    OverlapLossCfg,
    PixelLoss,
    SidedPixelLoss,
)
from dltools.meters import Reading
from dltools.metrics import ConfusionMetric, ConfusionMetricCfg, Metric, MetricCfg, Metrics
from dltools.metrics.classification.confusion import Counted
from dltools.states import State, States, Sum
from dltools.writers import MultiWriter, Record, Sink, Writer, WriterCfg

LIBRARY = str(Path(dltools.__file__).parent)
PRED, TARGET = torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)
ROWS, LABELS = torch.zeros(2, 4), torch.tensor([0, 1])


class MyOverlapLossCfg(OverlapLossCfg["MyOverlapLoss"]):
    pass


class MyOverlapLoss(OverlapLoss[MyOverlapLossCfg]):
    def score(self, counts: OverlapCounts) -> Tensor:
        raise ZeroDivisionError(counts)


class MyPixelLossCfg(DenseLossCfg["MyPixelLoss"]):
    pass


class MyPixelLoss(PixelLoss[MyPixelLossCfg]):
    def pixel(self, log_p: Tensor) -> Tensor:
        raise ZeroDivisionError(log_p)


class MySidedLossCfg(DenseLossCfg["MySidedLoss"]):
    pass


class MySidedLoss(SidedPixelLoss[MySidedLossCfg]):
    def pixel(self, log_p: Tensor, positive: Tensor) -> Tensor:
        raise ZeroDivisionError(positive)


class MyElementLossCfg(ElementLossCfg["MyElementLoss"]):
    pass


class MyElementLoss(ElementLoss[MyElementLossCfg]):
    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        raise ZeroDivisionError(pred)


class MyFieldLossCfg(FieldLossCfg["MyFieldLoss"]):
    pass


class MyFieldLoss(FieldLoss[MyFieldLossCfg]):
    def field(self, view: OnePass) -> Tensor:
        raise ZeroDivisionError(view)


class MyBoxLossCfg(BoxLossCfg["MyBoxLoss"]):
    pass


class MyBoxLoss(BoxLoss[MyBoxLossCfg]):
    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        raise ZeroDivisionError(pred)


class MyEmbeddingLossCfg(EmbeddingLossCfg["MyEmbeddingLoss"]):
    pass


class MyEmbeddingLoss(EmbeddingLoss[MyEmbeddingLossCfg]):
    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        raise ZeroDivisionError(x)


class MyMetricCfg(MetricCfg["MyMetric"]):
    pass


class MyMetric(Metric[MyMetricCfg]):
    def layout(self) -> dict[str, State]:
        return {"n": Sum()}

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        raise ZeroDivisionError(valid)

    def value(self, s: States) -> float:
        raise ZeroDivisionError(s)


class MyScoreCfg(ConfusionMetricCfg["MyScore"]):
    pass


class MyScore(ConfusionMetric[MyScoreCfg]):
    def readings(self, c: Counted) -> dict[str, Reading]:
        raise ZeroDivisionError(c)


class MyClipCfg(ClipCfg["MyClip"]):
    pass


class MyClip(Clip[MyClipCfg]):
    def __call__(self, gradients: Gradients) -> Tensor:
        raise ZeroDivisionError(gradients)


class MySkipCfg(SkipCfg["MySkip"]):
    pass


class MySkip(Skip[MySkipCfg]):
    def __call__(self, norm: Tensor, loss: Tensor | None) -> Tensor:
        raise ZeroDivisionError(norm)


class MyWriterCfg(WriterCfg["MyWriter"]):
    pass


class MyWriter(Sink[MyWriterCfg]):
    def on_write(self, batch: Sequence[Record]) -> None:
        raise ZeroDivisionError(batch)


def ours(error: BaseException) -> list[str]:
    """The frames of the library that a traceback shows."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(LIBRARY)]


def failing(call: Callable[[], Any], kind: type[Exception] = ZeroDivisionError) -> Exception:
    with pytest.raises(kind) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("cfg", "pred", "target"),
    [
        (MyOverlapLossCfg(), PRED, TARGET),
        (MyOverlapLossCfg(over="sample"), PRED, TARGET),
        (MyOverlapLossCfg(task="multilabel"), PRED, PRED),
        (MyPixelLossCfg(), PRED, TARGET),
        (MyPixelLossCfg(task="multilabel"), PRED, PRED),
        (MySidedLossCfg(), PRED, TARGET),
        (MyElementLossCfg(), PRED, PRED),
        (MyFieldLossCfg(), PRED, TARGET),
        (MyBoxLossCfg(), ROWS, ROWS),
        (MyEmbeddingLossCfg(), ROWS, LABELS),
    ],
)
def test_a_loss_of_ones_own(cfg: Any, pred: Tensor, target: Tensor) -> None:
    for loss in (cfg.build(), Combine(terms={"mine": cfg})):
        assert 0 < len(ours(failing(partial(loss, pred, target)))) <= 4


def test_a_metric_of_ones_own() -> None:
    metric, many = MyMetric(), Metrics({"mine": MyMetric()})
    for one in (metric, many):
        assert 0 < len(ours(failing(lambda one=one: one.update(PRED, TARGET)))) <= 4
        assert 0 < len(ours(failing(lambda one=one: one.step(PRED, TARGET)))) <= 4
    for one in (metric, many, MyScore(), Metrics({"mine": MyScoreCfg()})):
        assert 0 < len(ours(failing(one.compute))) <= 4


@pytest.mark.parametrize("cfg", [StepHandlerCfg(clip=MyClipCfg()), StepHandlerCfg(skip=(MySkipCfg(),))])
def test_a_part_of_a_step_of_ones_own(cfg: StepHandlerCfg) -> None:
    model = torch.nn.Linear(2, 1)
    step = build(cfg, model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert 0 < len(ours(failing(lambda: step(model(torch.ones(1, 2)).sum())))) <= 4


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a MultiWriter"])
def test_a_writer_of_ones_own(alone: bool, tmp_path: Path) -> None:
    cfg = MyWriterCfg(on_error="raise")
    writer: Writer[Any] = build(cfg) if alone else MultiWriter(dir=str(tmp_path), writers={"mine": cfg})
    writer.scalars({"loss": 1.0}, step=0)
    error = failing(writer.close, DltoolsError)
    assert 0 < len(ours(error)) <= 4
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert 0 < len(ours(error.__cause__)) <= 4
