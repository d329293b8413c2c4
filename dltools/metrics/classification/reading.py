"""What predictions and targets of a classification say: a small integer for every element."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from dltools.errors import ShapeError
from dltools.states import States

Task = Literal["binary", "multiclass", "multilabel"]
Holds = Literal["logits", "probs", "log_probs", "labels"]

_WIDE = {torch.uint16, torch.uint32, torch.uint64}


def left_out(ignore_index: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """The labels that a config's field leaves out."""
    return () if ignore_index is None else ignore_index if isinstance(ignore_index, tuple) else (ignore_index,)


class Form:
    """How inputs are to be read.

    Classes have the codes 0..sides-1; -1 and ``sides`` stand for what is no class, ``sides + 1`` for what is left out.
    """

    def __init__(self, task: Task, num_classes: int, holds: Holds, threshold: float, ignore: tuple[int, ...]) -> None:
        self.task: Task = task
        self.num_classes: int = num_classes
        self.holds: Holds = holds
        self.limit: float = _limit(holds, threshold)
        """The threshold on the scale of the scores."""
        self.ignore: tuple[int, ...] = ignore
        self.channels: int = num_classes if task == "multilabel" else 1
        """Decisions per element: one for each label of a multilabel task."""
        self.sides: int = num_classes if task == "multiclass" else 2
        """Classes of one decision."""
        cells = self.channels * (self.sides + 3) * (self.sides + 2)
        self.code: torch.dtype = torch.int16 if cells < 2**15 else torch.int32
        """The smallest dtype in which a cell of the matrices has a number."""


def check(form: Form, pred: Tensor, target: Tensor) -> None:
    """Refuse, by shapes and dtypes alone, what cannot be read."""
    hint = _misfit(form, pred, target)
    if hint:
        legal = {
            "binary": "pred and target (N, *S) or (N, 1, *S)",
            "multiclass": f"pred (N, {form.num_classes}, *S), target (N, *S) of integers"
            if form.holds != "labels"
            else "pred and target (N, *S) of integers",
            "multilabel": f"pred and target (N, {form.num_classes}, *S)",
        }[form.task]
        given = f"pred {_form(pred)}, target {_form(target)}, task {form.task!r}, holds {form.holds!r}"
        raise ShapeError(f"{given}, num_classes {form.num_classes}", expected=legal, hint=hint)


def read(form: Form, pred: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of the target and of the prediction, (N, channels, elements of a sample)."""
    return truth(form, target, valid), decide(form, pred)


def arrange(form: Form, x: Tensor) -> Tensor:
    """As (N, channels, elements of a sample); N may be 0."""
    return x.reshape(x.shape[0], form.channels, math.prod(x.shape[1:]) // form.channels)


def _misfit(form: Form, pred: Tensor, target: Tensor) -> str:
    """What to do about inputs that do not fit; empty if they do."""
    if pred.ndim == 0 or target.ndim == 0 or target.is_complex():
        return "samples in dim 0"
    if pred.is_floating_point() != (form.holds != "labels"):
        return (
            "holds='labels' for decided classes" if form.holds != "labels" else "holds='logits' or 'probs' for scores"
        )
    if form.task == "binary":
        fits = _flat(pred) == _flat(target)
        return (
            ""
            if fits
            else "task='multiclass' for one score per class"
            if pred.ndim == target.ndim + 1
            else "equal shapes"
        )
    if form.task == "multilabel":
        if pred.shape == target.shape and pred.ndim > 1 and pred.shape[1] == form.num_classes:
            return ""
        return "task='multiclass' if target holds class indices" if pred.ndim == target.ndim + 1 else "equal shapes"
    if target.is_floating_point():
        return "target.long() if it holds class indices, target.argmax(1) if it is one-hot"
    if form.holds == "labels":
        return "" if pred.shape == target.shape else "equal shapes"
    if pred.ndim < 2 or pred.shape[1] != form.num_classes:
        return f"num_classes={pred.shape[1]}" if pred.ndim > 1 else "task='binary' for one score per sample"
    if pred.shape[:1] + pred.shape[2:] != target.shape:
        return "target.squeeze(1)" if target.ndim == pred.ndim and target.shape[1] == 1 else "equal sizes of N and S"
    return ""


def _flat(x: Tensor) -> torch.Size:
    """The shape without a channel of size 1."""
    return x.shape[:1] + x.shape[2:] if x.ndim > 1 and x.shape[1] == 1 else x.shape


def truth(form: Form, target: Tensor, valid: Tensor) -> Tensor:
    """Codes of the target, (N, channels, elements of a sample)."""
    target, kept = _whole(form, arrange(form, target)), valid.view(-1, 1, 1)
    for label in form.ignore:
        if target.is_floating_point() or torch.iinfo(target.dtype).min <= label <= torch.iinfo(target.dtype).max:
            kept = kept & (target != label)
    if target.is_floating_point():
        code = torch.where(target == 1, 1, torch.where(target == 0, 0, form.sides)).to(form.code)
    else:
        code = target.clamp(-1, form.sides).to(form.code)
    return code.mul_(kept.to(form.code)).add_((~kept).to(form.code) * (form.sides + 1))  # masked_fill_ is far slower


def no_class(form: Form, code: Tensor) -> Tensor:
    """Where a code stands for what is no class, and is not left out."""
    return (code < 0) | (code == form.sides)


def no_class_in(form: Form, truth: Tensor, guess: Tensor) -> Tensor:
    """Elements that are not left out of which target or prediction is no class."""
    return (no_class(form, truth) | no_class(form, guess)) & (truth != form.sides + 1)


def see_first(s: States, form: Form, truth: Tensor, target: Tensor, guess: Tensor, pred: Tensor) -> None:
    """Keep the first label without a class, of either side, or NaN for scores; the sides as codes and as given."""
    given = pred.reshape(-1) if form.holds == "labels" else torch.full((), math.nan, device=guess.device)
    labels = torch.where(no_class(form, truth).reshape(-1), target.reshape(-1).double(), given.double())
    s.see("first", no_class_in(form, truth, guess), labels)


def decide(form: Form, pred: Tensor) -> Tensor:
    """Codes of the prediction, (N, channels, elements of a sample)."""
    return arrange(form, _decision(form, pred))


def _decision(form: Form, pred: Tensor) -> Tensor:
    if form.holds == "labels":
        return _whole(form, pred).clamp(-1, form.sides).to(form.code)
    if form.task == "multiclass":
        index, value = _best(pred)
        return index.to(form.code).masked_fill_(value.isnan(), form.sides)
    return (pred > form.limit).to(form.code).masked_fill_(pred.isnan(), form.sides)


def _best(pred: Tensor) -> tuple[Tensor, Tensor]:
    """The class with the largest score, the first of equal ones, and its score: NaN, if there is one."""
    if pred.ndim > 2:
        best = pred.max(1)
        return best.indices, best.values
    index = pred.argmax(1, keepdim=True)  # without pixels: max would wake all threads for a few numbers
    return index.squeeze(1), pred.gather(1, index).squeeze(1)


def _whole(form: Form, x: Tensor) -> Tensor:
    """Integers in a signed dtype that also holds the codes."""
    if x.is_floating_point():
        return x
    return x.long() if x.dtype in _WIDE else x.to(torch.promote_types(x.dtype, form.code))


def _limit(holds: Holds, p: float) -> float:
    if holds == "probs":
        return p
    if holds == "log_probs":
        return math.log(p) if p > 0 else -math.inf
    return math.inf if p == 1 else math.log(p / (1 - p)) if p > 0 else -math.inf


def _form(x: Tensor) -> str:
    return f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}"
