"""An error in a user's own method: few frames of ours stand between the call and the line that failed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import dltools
from dltools.errors import DltoolsError
from dltools.functional import OverlapCounts
from dltools.losses import (
    Combine,
    DenseLossCfg,
    OverlapLoss,
    OverlapLossCfg,
    PixelLoss,
    SidedPixelLoss,
)
from dltools.metrics import Metric, MetricCfg, Metrics
from dltools.states import State, States, Sum
from dltools.writers import Record, Sink, WriterCfg

LIBRARY = str(Path(dltools.__file__).parent)
PRED, TARGET = torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)


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


class MyMetricCfg(MetricCfg["MyMetric"]):
    pass


class MyMetric(Metric[MyMetricCfg]):
    def layout(self) -> dict[str, State]:
        return {"n": Sum()}

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        raise ZeroDivisionError(valid)

    def value(self, s: States) -> float:
        return float(s["n"])


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
    "cfg",
    [
        MyOverlapLossCfg(),
        MyOverlapLossCfg(over="sample"),
        MyOverlapLossCfg(task="multilabel"),
        MyPixelLossCfg(),
        MyPixelLossCfg(task="multilabel"),
        MySidedLossCfg(),
    ],
)
def test_a_loss_of_ones_own(cfg: Any) -> None:
    target = torch.zeros(2, 3, 4) if cfg.task == "multilabel" else TARGET
    loss, combined = cfg.build(), Combine(terms={"mine": cfg})
    assert 0 < len(ours(failing(lambda: loss(PRED, target)))) <= 4
    assert 0 < len(ours(failing(lambda: combined(PRED, target)))) <= 5


def test_a_metric_of_ones_own() -> None:
    metric, many = MyMetric(), Metrics({"mine": MyMetric()})
    for one in (metric, many):
        assert 0 < len(ours(failing(lambda one=one: one.update(PRED, TARGET)))) <= 4
        assert 0 < len(ours(failing(lambda one=one: one.step(PRED, TARGET)))) <= 4


def test_a_writer_of_ones_own() -> None:
    writer = MyWriter(on_error="raise")
    writer.scalars({"loss": 1.0}, step=0)
    error = failing(writer.close, DltoolsError)
    assert 0 < len(ours(error)) <= 4
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert 0 < len(ours(error.__cause__)) <= 4
