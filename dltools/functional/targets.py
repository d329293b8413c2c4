"""What a target says, read once: which class each element has, which elements count, and how much."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from dltools.errors import ShapeError

Task = Literal["multiclass", "multilabel", "binary"]
Holds = Literal["logits", "probs", "log_probs"]

_LEGAL = {
    "multiclass": "pred (N, C, *S) with C >= 2; target (N, *S) of integers, or (N, C, *S) of floats",
    "multilabel": "pred and target (N, C, *S)",
    "binary": "pred and target (N, *S) or (N, 1, *S)",
}


class Labels(NamedTuple):
    """A target in one form; an element is a pixel, for multilabel and binary tasks a pixel of a channel."""

    y: Tensor
    """Multiclass: indices (N, *S), a legal class where excluded, or soft (N, C, *S). Else (N, C, *S), bool or soft."""
    valid: Tensor
    """Whether an element counts."""
    num_valid: Tensor
    """How many do, in float64."""
    bad: Tensor
    """Number of elements left out because their label is out of range."""
    weights: Tensor | None
    """The weight map, 0 where an element does not count, if there is one."""
    dtype: torch.dtype
    """Of weights and shares."""

    @property
    def weight(self) -> Tensor:
        """How much an element counts: 0 where it does not."""
        return self.valid.to(self.dtype) if self.weights is None else self.weights

    @property
    def soft(self) -> bool:
        """Whether the labels are shares, not choices."""
        return self.y.is_floating_point()

    @property
    def of_classes(self) -> bool:
        """Whether a label is the index of a class."""
        return not self.soft and self.y.dtype != torch.bool

    @property
    def of_pixels(self) -> bool:
        """Whether an element is a pixel: all its classes exclude each other."""
        return self.of_classes or self.y.ndim > self.valid.ndim


def describe(pred: Tensor, target: Tensor) -> str:
    """Both shapes and dtypes, for an error."""
    return f"pred {_form(pred)}, target {_form(target)}"


def arrange(pred: Tensor, target: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """``pred`` as (N, C, *S) and ``target`` as (N, *S) or of the same shape; a ShapeError if they do not fit."""
    first, second = pred, target
    if task == "binary" and pred.ndim and target.ndim:
        first, second = _with_channel(pred, target), _with_channel(target, pred)
    if hint := _misfit(first, second, task):
        raise ShapeError(f"{describe(pred, target)}, task {task}", expected=_LEGAL[task], hint=hint)
    return first, second


def read_labels(
    target: Tensor,
    num_classes: int,
    task: Task,
    *,
    dtype: torch.dtype = torch.float32,
    ignore_index: int | None = None,
    mask: Tensor | None = None,
    weight_map: Tensor | None = None,
) -> Labels:
    """Read an arranged target.

    ``mask`` (True counts) and ``weight_map`` have the shape of ``target``, with or without channels, or 1 for a size.
    """
    soft, of_pixels = target.is_floating_point(), task == "multiclass"
    y, legal = _legal(target, num_classes, of_pixels)
    wanted = None if ignore_index is None else target != ignore_index
    if soft and of_pixels:
        legal, wanted = legal.all(1), None if wanted is None else wanted.any(1)
    if mask is not None:
        wanted = _both(wanted, _spread(mask, legal.shape, of_pixels, "mask") != 0)
    if weight_map is not None:
        weight_map = _spread(weight_map, legal.shape, of_pixels, "weight_map").detach().to(dtype)
        wanted = _both(wanted, weight_map != 0)
    y, valid = _coded(y, _both(wanted, legal), num_classes)
    num_valid = _count(valid)
    bad = torch.rsub(num_valid, valid.numel() if wanted is None else _count(wanted))
    weights = None if weight_map is None else torch.where(valid, weight_map, 0)
    if soft:
        y = torch.where(valid.unsqueeze(1) if of_pixels else valid, y, 0).to(dtype)
    return Labels(y, valid, num_valid, bad, weights, dtype)


def _legal(target: Tensor, num_classes: int, of_pixels: bool) -> tuple[Tensor, Tensor]:
    """The labels, and which of them are in range."""
    if target.is_floating_point():
        return target, (target >= 0) & (target <= 1)
    label = target.long()
    y = label.clamp(0, num_classes - 1) if of_pixels else label == 1
    return y, (label == y) if of_pixels else y | (label == 0)


def _coded(y: Tensor, valid: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """The same, for a compiler that keeps one small number of each element for the way back.

    On CPUs compiled code takes ten times as long to store and load a bool as a number.
    """
    if not torch.compiler.is_compiling() or y.is_floating_point():
        return y, valid
    code = torch.where(valid, y, -1).to(torch.int8 if num_classes < 128 else torch.int32).float()
    return (code > 0 if y.dtype == torch.bool else code.clamp_min(0).int()), code >= 0


def _count(x: Tensor) -> Tensor:
    """How many are True, in float64."""
    if torch.compiler.is_compiling() and x.ndim > 1 and x.shape[-1] < 2**24:  # which float32 counts exactly
        return x.sum(-1, dtype=torch.float32).sum(dtype=torch.float64)  # by rows, as losses: one loop makes both
    return x.count_nonzero().double()


def _both(first: Tensor | None, second: Tensor) -> Tensor:
    return second if first is None else first & second


def _misfit(pred: Tensor, target: Tensor, task: Task) -> str:
    """What to do about a pair that does not fit; empty if it does."""
    if not pred.is_floating_point():
        return "pred holds logits or probabilities: floats"
    if target.is_complex() or pred.ndim < 2:
        return "add the dimension of the samples in front"
    if target.shape == pred.shape:
        if task == "multiclass" and not target.is_floating_point():
            return "target.argmax(1) if it is one-hot, or task='multilabel'"
        return "task='binary' for one channel" if task == "multiclass" and pred.shape[1] < 2 else ""
    if task != "multiclass":
        return "task='multiclass' if target holds class indices" if target.ndim == pred.ndim - 1 else "equal shapes"
    if target.shape == (pred.shape[0], 1, *pred.shape[2:]):
        return "task='binary' for one channel" if pred.shape[1] == 1 else "target.squeeze(1)"
    if target.shape != (pred.shape[0], *pred.shape[2:]):
        return "make the sizes of samples and pixels equal"
    if target.is_floating_point():
        return "target.long() if it holds class indices"
    return "task='binary' for one channel" if pred.shape[1] < 2 else ""


def _with_channel(x: Tensor, other: Tensor) -> Tensor:
    """A binary (N, *S) as (N, 1, *S); the number of dimensions of the other side tells which one it is."""
    has_channel = x.ndim > 1 and x.shape[1] == 1 and x.ndim >= other.ndim
    return x if has_channel else x.unsqueeze(1)


def _spread(x: Tensor, shape: torch.Size, of_pixels: bool, name: str) -> Tensor:
    """A mask or weight map in the shape of the labels."""
    if of_pixels:
        fit = x.squeeze(1) if x.ndim == len(shape) + 1 and x.shape[1] == 1 else x
    else:
        fit = x.unsqueeze(1) if x.ndim == len(shape) - 1 else x
    if fit.ndim != len(shape) or any(have not in (1, want) for have, want in zip(fit.shape, shape, strict=False)):
        pixels = (shape[0], *shape[1 if of_pixels else 2 :])
        legal = f"{name} {pixels} or {(pixels[0], 1, *pixels[1:])}" + ("" if of_pixels else f" or {tuple(shape)}")
        raise ShapeError(f"{name} {_form(x)}", expected=legal, hint="size 1 where it is the same for all")
    return fit.expand(shape)


def _form(x: Tensor) -> str:
    return f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}"
