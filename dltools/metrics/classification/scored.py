"""Metrics of scores, before anything is decided: probabilities per class, and which of them is true."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.classification.reading import Form, Task, arrange, check, left_out, no_class, truth
from dltools.metrics.invalid import note_number
from dltools.states import States

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="ScoredMetricCfg[Any]")
Scale = Literal["logits", "probs", "log_probs"]
SLACK = 0.01
"""How far rounding carries a probability out of its range."""


class ScoredMetricCfg(MetricCfg[T_co]):
    """What pred says of what."""

    task: Task = "multiclass"
    """binary: pred (N, *S) or (N, 1, *S). multiclass: pred (N, C, *S), target (N, *S). multilabel: both (N, C, *S)."""
    holds: Scale = "logits"
    """What pred is."""
    ignore_index: int | tuple[int, ...] | None = None
    """Labels that are left out."""

    def form(self, num_classes: int) -> Form:
        """How inputs with so many classes are read."""
        return Form(self.task, num_classes, self.holds, 0.5, left_out(self.ignore_index))


class ScoredMetric(Metric[CfgT]):
    """A metric of probabilities, with as many classes as pred has."""

    def form(self, pred: Tensor) -> Form:
        """How a prediction and its target are read."""
        return self.cfg.form(2 if self.cfg.task == "binary" else pred.shape[1] if pred.ndim > 1 else 1)

    def check(self, pred: Tensor, target: Tensor) -> None:
        check(self.form(pred), pred, target)

    def legal(self) -> str:
        labels = "Legal labels are the classes of pred; ignore_index leaves others out."
        return f"{labels} No score may be NaN or out of its range; holds='logits' has none."


def as_channels(pred: Tensor, task: Task) -> Tensor:
    """(N, channels, elements of a sample): a channel per class, one for a binary task; N may be 0."""
    channels = 1 if task == "binary" else pred.shape[1]
    return pred.reshape(pred.shape[0], channels, math.prod(pred.shape[1:]) // channels)


def broken_scores(x: Tensor, holds: Scale) -> Tensor:
    """What is NaN or, but for rounding in half precision, no probability."""
    if holds == "logits":
        return x.isnan()
    return ~((x >= -SLACK) & (x <= 1 + SLACK)) if holds == "probs" else ~(x <= SLACK)


def log_sides(x: Tensor, task: Task, holds: Scale) -> tuple[Tensor, Tensor]:
    """Log-probability of each channel and, but for multiclass, of its absence; float32 or better."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if holds != "logits":
        x = x.clamp(0, 1) if holds == "probs" else x.clamp(max=0)
        log_p = x if holds == "log_probs" else x.log()
        return log_p, (-x).log1p() if holds == "probs" else (-x.expm1()).log()
    if task == "multiclass":
        log_p = x.log_softmax(1)
        return log_p, log_p
    return F.logsigmoid(x), F.logsigmoid(-x)


def labels_of(
    s: States, form: Form, target: Tensor, valid: Tensor, scores: Tensor, broken: Tensor
) -> tuple[Tensor, Tensor]:
    """Labels (a legal one everywhere), and which elements count, both (N, channels, M); the invalid ones are noted.

    ``broken`` says which scores cannot be counted. Left out is what ``ignore_index`` and ``valid`` exclude.
    """
    code = truth(form, target, valid)
    left_out, strange = code == form.sides + 1, no_class(form, code)
    unknown = broken.any(1, keepdim=True) if form.task == "multiclass" else broken
    bad = strange | (unknown & ~left_out)
    if note_number(s, bad):
        see_label_or_score(s, form, strange, target, broken, scores, bad)
    return code.clamp(0, form.sides - 1).long(), ~left_out & ~bad


def see_label_or_score(
    s: States, form: Form, strange: Tensor, target: Tensor, broken: Tensor, scores: Tensor, bad: Tensor
) -> None:
    """Keep the first label without a class, or the first score of an element that cannot be counted."""
    place = broken.byte().argmax(1, keepdim=True)
    one = scores.gather(1, place) if form.task == "multiclass" else scores
    s.see("first", bad, torch.where(strange, arrange(form, target).double(), one.double()))
