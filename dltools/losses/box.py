"""Losses of pairs of boxes: how little a predicted box is like its target."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor

from dltools.errors import DltoolsError, ShapeError
from dltools.functional.boxes import BoxFormat, box_convert
from dltools.functional.targets import describe
from dltools.losses.base import LossCfg, T_co
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss, Pair, read_weights, refuse_values

BoxCfgT = TypeVar("BoxCfgT", bound="BoxLossCfg[Any]")


class BoxLossCfg(LossCfg[T_co]):
    """What losses of boxes have in common."""

    fmt: BoxFormat = "xyxy"
    """What boxes are: two corners; the first corner and the sides; or the centre and the sides."""


class BoxLoss(MeanLoss[BoxCfgT]):
    """The weighted mean of a loss of pairs of boxes, of which each prediction has its target.

    Shapes: pred (N, 4), floats; target (N, 4); mask and weight_map (N,). Excluded pairs reach the loss as zeros.
    """

    @abstractmethod
    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        """Loss of each pair of boxes xyxy (N, 4), float32 or better: (N,)."""

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pair = view.once(("boxes", self.cfg.fmt), lambda: _read(self.cfg.fmt, *view.tensors()))
        if self.cfg.check:
            _check(pair, self.cfg.fmt)
        return pair.weigh(self.pair(pair.pred, pair.target))


def _read(fmt: BoxFormat, pred: Tensor, target: Tensor, mask: Tensor | None, weight_map: Tensor | None) -> Pair[Tensor]:
    if pred.ndim != 2 or pred.shape[1] != 4 or pred.shape != target.shape or not pred.is_floating_point():
        hint = "one target for each prediction, pred.float()" if pred.ndim == 2 else "pred.view(-1, 4)"
        raise ShapeError(describe(pred, target), expected="boxes (N, 4) on both sides, pred of floats", hint=hint)
    boxes = [box_convert(x, fmt, "xyxy") for x in (pred, target)]
    dtype = boxes[0].dtype
    found = read_weights(pred, pred.shape[:1], mask, weight_map, dtype=dtype)
    if found.valid is not None:
        valid = found.valid.unsqueeze(1)
        boxes = [torch.where(valid, x, 0) for x in boxes]
    return found.of(boxes[0], boxes[1].to(dtype))


def _check(pair: Pair[Tensor], fmt: BoxFormat) -> None:
    """Look at the targets; only for ``check=True``."""
    refuse_values(pair.bad, pair.target)
    inverted = int((pair.target[:, 2:] < pair.target[:, :2]).any(1).count_nonzero())
    if inverted:
        given = f"{inverted} target boxes end before they begin, fmt {fmt!r}"
        raise DltoolsError(given, expected="x1 <= x2 and y1 <= y2", hint="fmt='xywh' or 'cxcywh'?")
