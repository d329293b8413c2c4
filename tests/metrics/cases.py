"""Random inputs of a classification, and what a loop over their elements counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

Pairs = list[tuple[int, int]]
"""Target and prediction of every element that counts."""
TARGETS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16]
TWO_SIDED = [*TARGETS, torch.bool, torch.float32, torch.float64]


@dataclass(frozen=True)
class Case:
    """Fields of a config, inputs that fit them, and their pairs: for each image, for each channel."""

    fields: dict[str, Any]
    pred: Tensor
    target: Tensor
    valid: Tensor | None
    images: list[list[Pairs]]

    @property
    def task(self) -> str:
        return str(self.fields["task"])

    @property
    def channels(self) -> list[Pairs]:
        """The pairs of all images: one list, or one for each label of a multilabel task."""
        count = self.fields["num_classes"] if self.task == "multilabel" else 1
        return [[pair for image in self.images for pair in image[c]] for c in range(count)]

    def halves(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """The inputs in two batches."""
        valid = torch.ones(len(self.pred), dtype=torch.bool) if self.valid is None else self.valid
        cut = len(self.pred) // 2
        return [(x[part], y[part], v[part]) for x, y, v in [(self.pred, self.target, valid)] for part in _parts(cut)]


def _parts(cut: int) -> tuple[slice, slice]:
    return slice(0, cut), slice(cut, None)


@st.composite
def cases(draw: st.DrawFn, tasks: tuple[str, ...] = ("binary", "multiclass", "multilabel"), **fixed: Any) -> Case:
    """Any task, representation, shape, dtype, memory layout, ignored labels and mask."""
    task = draw(st.sampled_from(tasks))
    fields = {
        "task": task,
        "num_classes": 2 if task == "binary" else draw(st.integers(2, 5)),
        "holds": draw(st.sampled_from(["logits", "probs", "log_probs", "labels"])),
        "threshold": draw(st.sampled_from([0.5, 0.3, 0.75])) if task != "multiclass" else 0.5,
        "ignore_index": draw(st.sampled_from([None, -1, 255, (0, 255), 1])),
        **fixed,
    }
    spatial = draw(st.sampled_from([(), (3,), (2, 3)]))
    dtype = draw(st.sampled_from(TARGETS if task == "multiclass" else TWO_SIDED))
    seed = draw(st.integers(0, 2**32 - 1))
    return make(
        fields, draw(st.integers(0, 6)), spatial, dtype, np.random.default_rng(seed), masked=draw(st.booleans())
    )


def make(
    fields: dict[str, Any],
    n: int,
    spatial: tuple[int, ...],
    dtype: torch.dtype,
    rng: np.random.Generator,
    *,
    masked: bool = False,
) -> Case:
    """A case with classes that may be absent, ignored labels, and nonsense wherever the mask leaves something out."""
    task, classes = fields["task"], fields["num_classes"]
    per_label = task == "multilabel"
    shape = (n, classes, *spatial) if per_label else (n, *spatial)
    sides = classes if task == "multiclass" else 2
    there = rng.choice(sides, rng.integers(1, sides + 1), replace=False)
    labels = rng.choice(there, shape).astype(np.int64)
    ignore = _ignored(fields)
    for label in ignore:
        if label not in range(sides) and _fits(label, dtype):
            labels = np.where(rng.random(shape) < 0.2, label, labels)
    pred = torch.from_numpy(_scores(fields, labels, rng))
    target = torch.from_numpy(labels).to(dtype)
    valid = torch.from_numpy(rng.random(n) < 0.7) if masked else None
    images = _pairs(fields, pred, labels, np.ones(n, bool) if valid is None else valid.numpy())
    if valid is not None and dtype != torch.bool:
        target = torch.where(valid.view(-1, *[1] * (target.ndim - 1)), target, torch.tensor(99, dtype=dtype))
        pred[~valid] = float("nan") if pred.is_floating_point() else 98
    if task == "binary" and rng.random() < 0.5:
        pred = pred.unsqueeze(1)
    return Case(fields, _strided(pred, rng), _strided(target, rng), valid, images)


def _ignored(fields: dict[str, Any]) -> tuple[int, ...]:
    given = fields["ignore_index"]
    return () if given is None else (given,) if isinstance(given, int) else given


def _fits(label: int, dtype: torch.dtype) -> bool:
    if dtype == torch.bool:
        return False
    return dtype.is_floating_point or torch.iinfo(dtype).min <= label <= torch.iinfo(dtype).max


def _scores(fields: dict[str, Any], labels: Any, rng: np.random.Generator) -> Any:
    """Scores on a grid, so that some are equal, with a preference for the target."""
    task, classes, holds = fields["task"], fields["num_classes"], fields["holds"]
    sides = classes if task == "multiclass" else 2
    if holds == "labels":
        guess = np.where(rng.random(labels.shape) < 0.5, labels, rng.integers(0, sides, labels.shape))
        return np.where((guess < 0) | (guess >= sides), 0, guess)
    if task != "multiclass":
        logits = rng.integers(-8, 9, labels.shape) / 4 + (labels == 1) / 2
        probs = 1 / (1 + np.exp(-logits))
    else:
        shape = (labels.shape[0], classes, *labels.shape[1:])
        hot = np.moveaxis(labels[..., None] == np.arange(classes), -1, 1)
        logits = rng.integers(-4, 5, shape) / 4 + hot / 2
        probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return {"logits": logits, "probs": probs, "log_probs": np.log(probs)}[holds]


def _pairs(fields: dict[str, Any], pred: Tensor, labels: Any, valid: Any) -> list[list[Pairs]]:
    task, channels = fields["task"], fields["num_classes"] if fields["task"] == "multilabel" else 1
    ignore, guess = (
        _ignored(fields),
        _decide(fields, pred.double().numpy() if pred.is_floating_point() else pred.numpy()),
    )
    out = []
    for i in range(len(labels)):
        image: list[Pairs] = []
        for c in range(channels):
            mine, its = (labels[i, c], guess[i, c]) if task == "multilabel" else (labels[i], guess[i])
            pairs = zip(np.ravel(mine).tolist(), np.ravel(its).tolist(), strict=True)
            image.append([(t, p) for t, p in pairs if valid[i] and t not in ignore])
        out.append(image)
    return out


def _decide(fields: dict[str, Any], pred: Any) -> Any:
    holds = fields["holds"]
    if holds == "labels":
        return pred
    if fields["task"] == "multiclass":
        return pred.argmax(1)
    probs = {"logits": lambda x: 1 / (1 + np.exp(-x)), "probs": lambda x: x, "log_probs": np.exp}[holds](pred)
    return (probs > fields["threshold"]).astype(int)


def _strided(x: Tensor, rng: np.random.Generator) -> Tensor:
    """The same values, often not contiguous."""
    way = rng.integers(3)
    if way == 1:
        return x.repeat_interleave(2, 0)[::2]
    return x.transpose(0, -1).contiguous().transpose(0, -1) if way == 2 and x.ndim > 1 and x.numel() else x
