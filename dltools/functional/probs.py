"""From what a prediction holds to probabilities and logarithms; a pass made of plain operations."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.functional.sums import pick
from dltools.functional.targets import Holds, Labels


class Parts(NamedTuple):
    """What a pass makes of a prediction; 0 where an element is excluded."""

    log_p: Tensor
    """Log-probability of the target; of a positive, if the labels are soft."""
    log_q: Tensor | None
    """Log-probability of a negative, where elements are soft and have two sides."""
    prob: Tensor
    """Probabilities, (N, C, *S)."""


def classes_pass(pred: Tensor, labels: Labels, holds: Holds) -> Parts:
    """Multiclass by plain operations: shares as targets, or probabilities."""
    valid = labels.valid.unsqueeze(1)
    x = torch.where(valid, pred, 0).to(labels.dtype)
    log_probs = x.log_softmax(1) if holds == "logits" else x if holds == "log_probs" else log_of(x, tiny_of(pred))
    prob = torch.where(valid, x if holds == "probs" else log_probs.exp(), 0)
    if labels.soft:
        return Parts(torch.where(valid, log_probs, 0), None, prob)
    return Parts(torch.where(labels.valid, pick(log_probs, labels.y), 0), None, prob)


def elements_pass(pred: Tensor, labels: Labels, holds: Holds) -> Parts:
    """The same for multilabel and binary tasks, where each element has two sides."""
    y, valid = labels.y, labels.valid
    x = torch.where(valid, pred, 0).to(labels.dtype)
    prob = torch.where(valid, x.sigmoid() if holds == "logits" else x if holds == "probs" else x.exp(), 0)
    positive = torch.ones_like(valid) if labels.soft else y
    log_p = torch.where(valid, side(x, positive, holds, tiny_of(pred)), 0)
    log_q = torch.where(valid, side(x, ~positive, holds, tiny_of(pred)), 0) if labels.soft else None
    return Parts(log_p, log_q, prob)


def side(x: Tensor, positive: Tensor, holds: Holds, tiny: float) -> Tensor:
    """Log-probability of one side of each element."""
    if holds == "logits":
        return F.logsigmoid(torch.where(positive, x, -x))
    if holds == "probs":
        return log_of(torch.where(positive, x, 1 - x), tiny)
    return torch.where(positive, x, log_of(-x.expm1(), tiny))


def log_of(p: Tensor, tiny: float) -> Tensor:
    """Finite for p = 0, and so is its gradient in the dtype of the input."""
    return p.clamp_min(tiny).log()


def tiny_of(pred: Tensor) -> float:
    """The least probability whose logarithm is taken."""
    return torch.finfo(pred.dtype).tiny
