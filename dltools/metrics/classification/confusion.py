"""The confusion family: one count of (target, prediction) pairs, from which most scores of a classification follow."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt, Unit
from dltools.errors import ConfigError
from dltools.meters.report import Array, Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.classification.counts import Counts, of_matrix
from dltools.metrics.classification.reading import Form, Holds, Task, check, decide, see_first
from dltools.metrics.classification.reading import truth as read_truth
from dltools.metrics.classification.tally import tally_exact, tally_images, tally_margins, tally_pairs
from dltools.metrics.invalid import worth_a_look
from dltools.states import First, State, States, Sum, Table

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="ConfusionMetricCfg[Any]")

MANY_CLASSES = 2000
"""Beyond it a matrix is kept only where it is the metric itself."""
COLUMNS = ("tp", "pred", "target", "total")


class ConfusionMetricCfg(MetricCfg[T_co]):
    """What is compared with what."""

    task: Task = "multiclass"
    """binary: pred (N, *S) or (N, 1, *S). multiclass: pred (N, C, *S), target (N, *S). multilabel: both (N, C, *S)."""
    num_classes: PositiveInt = 2
    """Classes, or labels of a multilabel task."""
    holds: Holds = "logits"
    """What pred is: scores, or decided labels in the shape of target."""
    threshold: Unit = 0.5
    """Binary and multilabel: the probability above which an element is predicted positive."""
    ignore_index: int | tuple[int, ...] | None = None
    """Labels that are left out."""
    per_image: bool = False
    """Also keep the counts of each image, 32 bytes per class: gives ``name/image`` and intervals over images."""
    class_names: tuple[str, ...] = ()
    """Names of the classes in reports; their numbers if empty."""

    def __post_init__(self) -> None:
        if self.task == "multiclass" and self.num_classes < 2:
            raise ConfigError(
                "num_classes is 1", expected="two or more", hint="task='binary' for one score per element"
            )
        if self.task == "binary" and self.num_classes > 2:
            raise ConfigError(
                f"num_classes is {self.num_classes}, task 'binary'", expected="2", hint="task='multiclass'"
            )
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ConfigError(f"{len(self.class_names)} class_names", expected=f"{self.num_classes}, one per class")


class Counted(NamedTuple):
    """What merged states hold."""

    counts: Counts
    matrix: Array | None
    """(C, C), rows = target; (C, 2, 2) multilabel; None where only its margins are kept."""
    images: Counts | None
    """The counts of each image, (images, C)."""
    exact: tuple[int, int]
    """Multilabel: elements with all labels right, and all elements."""
    invalid: int
    samples: bool
    """Whether each sample is one element: no pixels."""

    n: int
    """Elements that counted; for a multilabel task each label of each."""


class ConfusionMetric(Metric[CfgT]):
    """Counts how often each class is predicted as each other: int64 (C, C), with spare cells for what is no class.

    Labels out of range, and NaN scores, are counted as invalid; ignored and masked elements add nothing at all.
    """

    joins = True

    needs_matrix: bool = False
    """Whether the margins of the matrix are not enough."""

    def setup(self) -> None:
        ignore = self.cfg.ignore_index
        labels = () if ignore is None else (ignore,) if isinstance(ignore, int) else ignore
        self.form: Form = Form(self.cfg.task, self.cfg.num_classes, self.cfg.holds, self.cfg.threshold, labels)
        sides = 2 if self.cfg.task == "binary" else self.cfg.num_classes
        named = self.cfg.class_names or tuple(map(str, range(sides)))
        self.names: tuple[str, ...] = named[-1:] if self.cfg.task == "binary" else named
        """Names of the classes that have a score."""

    @abstractmethod
    def readings(self, c: Counted) -> Mapping[str, Reading]:
        """The values that follow from the counts."""

    @property
    def keeps_margins(self) -> bool:
        """Whether only tp, pred and target are kept: the matrix would be too large for what nobody asks."""
        return self.form.sides > MANY_CLASSES and not self.needs_matrix

    def layout(self) -> Mapping[str, State]:
        form = self.form
        full = (form.channels, form.sides + 3, form.sides + 2)
        shape = (1, 3, form.sides + 2) if self.keeps_margins else full
        states: dict[str, State] = {"cells": Sum(*shape), "pixels": Sum(), "first": First()}
        if form.task == "multilabel":
            states["exact"] = Sum(2)
        if self.cfg.per_image:
            states["images"] = Table(dict.fromkeys(COLUMNS, torch.int64), rows=self.width)
        return states

    def check(self, pred: Tensor, target: Tensor) -> None:
        check(self.form, pred, target)

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        self.tally(s, self.decided(pred), target, valid=valid)

    def waits(self, pred: Tensor, target: Tensor) -> tuple[Callable[..., None], dict[str, Tensor]]:
        kept = pred.clone() if self.form.holds == "labels" else self.decided(pred)
        return self.tally, {"pred": kept, "target": target.clone()}

    def decided(self, pred: Tensor) -> Tensor:
        """Labels as they are, since the first that is no class is kept; of scores the codes."""
        return pred if self.form.holds == "labels" else decide(self.form, pred)

    def tally(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        """Add decided elements."""
        truth = read_truth(self.form, target, valid)
        guess = decide(self.form, pred) if self.form.holds == "labels" else pred
        if self.keeps_margins:
            s["cells"].add_(tally_margins(truth.reshape(1, -1), guess.reshape(1, -1), self.form.sides))
        else:
            tally_pairs(s["cells"], truth, guess)
        if worth_a_look(s, lambda: self.num_invalid(s["cells"].numpy())):
            see_first(s, self.form, truth, target, guess, pred)
        if truth.shape[2] != 1:
            s["pixels"] += truth.shape[0]
        if "exact" in s:
            s["exact"] += tally_exact(truth, guess)
        if "images" in s:
            s.append("images", tally_images(truth, guess, self.form))

    def value(self, s: States) -> Mapping[str, Reading]:
        return self.readings(s.once("counted", self.counted_in))

    def counted_in(self, s: States) -> Counted:
        """What merged states hold; alike for all metrics that share them."""
        form, cells = self.form, s["cells"].numpy().astype(np.float64)
        if self.keeps_margins:
            tp, pred, target = cells[0, :, : form.sides]
            counts, matrix = Counts(tp, pred, target, np.full(form.sides, target.sum())), None
        else:
            inner = cells[:, 1 : form.sides + 1, 1 : form.sides + 1]
            counts = of_matrix(inner[0] if form.task == "multiclass" else inner)
            matrix = inner if form.task == "multilabel" else inner[0]
        n = int(counts.total.sum() if form.task == "multilabel" else counts.total[0])
        exact = s["exact"].tolist() if "exact" in s else (0, 0)
        images = self.images(s) if "images" in s else None
        return Counted(counts, matrix, images, (exact[0], exact[1]), self.num_invalid(cells), not s["pixels"].item(), n)

    def num_invalid(self, cells: Array) -> int:
        """Elements that have no class on one side: in the frame of the matrix, but for what is left out."""
        sides = self.form.sides
        if self.keeps_margins:
            return int(cells[0, 2, sides])
        return int(cells[:, [0, sides + 1]].sum() + cells[:, 1 : sides + 1, [0, sides + 1]].sum())

    def images(self, s: States) -> Counts:
        """The counts of each image in which anything counted, (images, C)."""
        table = s.table("images")
        tp, pred, target, total = (table[name].numpy().astype(np.float64).reshape(-1, self.width) for name in COLUMNS)
        there = total.any(-1)
        return Counts(tp[there], pred[there], target[there], total[there])

    @property
    def width(self) -> int:
        """Classes that have counts of their own; a binary task has those of the positive class."""
        return self.form.sides if self.form.task == "multiclass" else self.form.channels

    def legal(self) -> str:
        return f"Legal are labels 0..{self.form.sides - 1} and no NaN; ignore_index is {self.cfg.ignore_index}"
