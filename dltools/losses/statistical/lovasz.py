"""Lovász losses: the extension of the Jaccard loss to errors that are no decisions."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor

from dltools.errors import ConfigError
from dltools.functional.lovasz import Errors, error_sums, lovasz_slopes, lovasz_sorted
from dltools.functional.overlap import OnePass
from dltools.functional.sums import one_of
from dltools.functional.targets import Task
from dltools.losses.base import T_co
from dltools.losses.distutils import Sums
from dltools.losses.overlap import ClassLoss, OverlapLossCfg
from dltools.losses.view import View

LovaszCfgT = TypeVar("LovaszCfgT", bound="LovaszLossCfg[Any]")


class LovaszLossCfg(OverlapLossCfg[T_co]):
    """What both have in common."""

    method: Literal["hist", "exact"] = "hist"
    """Errors in bins, in linear time and added up over ranks; or sorted."""
    bins: Annotated[int, Ge(2)] = 4096
    """Of the histogram; even in an error of at most 1, else in e / (1 + e)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "exact" and self.over == "batch" and self.sync != "none":
            raise ConfigError(
                f"sync={self.sync!r} with method='exact'",
                expected="sums that add up over ranks, which an order of all pixels does not have",
                hint="method='hist', or over='sample'",
            )


class LovaszLoss(ClassLoss[LovaszCfgT]):
    """A Lovász extension: what one more wrong element adds to the Jaccard loss, the worst first, times its error."""

    @abstractmethod
    def errors(self, passed: OnePass, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """How wrong each class of each pixel is by labels 0 to 1, (N, C, *S); if it may exceed 1, squeezed as well."""

    def sums(self, view: View) -> Sums:
        passed = self.look(view)
        if self.cfg.method == "exact":
            return self._sorted(passed)
        bins = self._of_classes(passed) if passed.labels.of_classes else self._of_elements(passed)
        return {"bins": bins} if self.cfg.over == "batch" else self._binned(bins)

    def value(self, sums: Sums) -> Tensor:
        return self.mean(self._binned(sums["bins"]) if "bins" in sums else sums)

    def _sorted(self, passed: OnePass) -> Sums:
        hard = passed.labels.of_classes
        y = one_of(passed.labels.y, passed.prob.shape[1]) if hard else passed.labels.y
        size, _ = self.errors(passed, y.to(passed.dtype))
        parts = (_flat(x.expand_as(size)) for x in (size, y.to(passed.dtype), _weight(passed)))
        if self.cfg.over == "batch":
            parts = (x.transpose(0, 1).flatten(1) for x in parts)
        size, y, weight = parts
        target, total, wrong = (x.sum(-1, dtype=torch.float64) for x in (weight * y, weight, weight * size))
        return self.weighted(lovasz_sorted(size, y, weight), target == 0, wrong, target, total)

    def _binned(self, bins: Tensor) -> Sums:
        bins = bins.squeeze(1) if self.cfg.over == "batch" else bins
        (number, wrong), (number_y, wrong_y) = bins.chunk(2, -2)
        slope, slope_y = lovasz_slopes(number.detach(), number_y.detach())
        loss = (slope * wrong + slope_y * wrong_y).sum(-1)
        target = number_y.sum(-1)
        return self.weighted(loss, target == 0, wrong.sum(-1), target, target + number.sum(-1))

    def _of_classes(self, passed: OnePass) -> Tensor:
        """All classes of a pixel as if it were of none, then the target's: taken out there, and put in as a target."""
        y, prob, weight = (_flat(x.unsqueeze(1)) for x in (passed.labels.y, passed.prob_t, passed.labels.weight))
        num_classes, bins, over = passed.prob.shape[1], self.cfg.bins, self.cfg.over
        size, share = torch.cat([prob, 1 - prob], 2), torch.cat([-weight, weight], 2)
        own = Errors(size, share, row=torch.cat([y, y + num_classes], 2))
        every = error_sums(Errors(_flat(passed.prob), weight), num_classes, bins, over=over)
        return F.pad(every, (0, 0, 0, num_classes)) + error_sums(own, 2 * num_classes, bins, over=over)

    def _of_elements(self, passed: OnePass) -> Tensor:
        y, num_classes = passed.labels.y, passed.prob.shape[1]
        size, unit = self.errors(passed, y.to(passed.dtype))
        row, weight = torch.arange(num_classes, device=y.device).view(1, -1, *[1] * (y.ndim - 2)), _weight(passed)
        if passed.labels.soft:  # some of an element on each side
            size, unit = torch.cat([size, size], 1), None if unit is None else torch.cat([unit, unit], 1)
            row, weight = torch.cat([row, row + num_classes], 1), torch.cat([weight * (1 - y), weight * y], 1)
        else:
            row = row + num_classes * y
        size, weight, row = (x.expand_as(size).flatten(1).unsqueeze(1) for x in (size, weight, row))
        unit = None if unit is None else unit.flatten(1).unsqueeze(1)
        return error_sums(Errors(size, weight, unit, row), 2 * num_classes, self.cfg.bins, over=self.cfg.over)


class LovaszSoftmaxLossCfg(LovaszLossCfg["LovaszSoftmaxLoss"]):
    """No options of its own."""


class LovaszSoftmaxLoss(LovaszLoss[LovaszSoftmaxLossCfg]):
    r"""Lovász-Softmax: the extension of :math:`1 - |P \cap Y| / |P \cup Y|` to the errors :math:`|p - y|`, per class.

    ``method="hist"`` sorts errors into bins and takes either label of a bin as if it came first, and the mean of both;
    the loss is exact to 1e-5 with the default number of bins. Classes absent from the target are skipped by default;
    ``empty="score"`` gives them their mean error.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError; a ConfigError for
    ``method="exact"`` with ``sync``, since an order of all pixels does not add up over ranks.

    >>> loss = LovaszSoftmaxLoss(holds="probs")
    >>> p = torch.tensor([[0.0, 1.0, 1.0, 1.0]])
    >>> loss(torch.stack([1 - p, p], 1), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.4167)

    Source: Berman et al. 2018, arXiv:1705.08790.
    """

    def errors(self, passed: OnePass, y: Tensor) -> tuple[Tensor, Tensor | None]:
        return (passed.prob - y).abs(), None


class LovaszHingeLossCfg(LovaszLossCfg["LovaszHingeLoss"]):
    task: Task = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "multiclass" or self.holds != "logits":
            raise ConfigError(
                f"task={self.task!r}, holds={self.holds!r}",
                expected="logits of a binary or multilabel task",
                hint="LovaszSoftmaxLoss takes the others",
            )


class LovaszHingeLoss(LovaszLoss[LovaszHingeLossCfg]):
    r"""Lovász hinge: the extension of the Jaccard loss to the margins missed, :math:`\max(0, 1 - z (2 y - 1))`.

    Shapes: pred (N, C, *S) or (N, *S) of logits, target of the same shape. Raises ShapeError; methods and ``empty`` are
    those of LovaszSoftmaxLoss.

    >>> loss = LovaszHingeLoss()
    >>> loss(torch.tensor([[-2.0, 2.0, 0.5, 2.0]]), torch.tensor([[0, 0, 1, 1]]))
    tensor(1.1667)

    Source: Yu and Blaschko 2015, arXiv:1512.07797; Berman et al. 2018, arXiv:1705.08790.
    """

    def errors(self, passed: OnePass, y: Tensor) -> tuple[Tensor, Tensor | None]:
        logits = torch.where(passed.labels.valid, passed.pred, 0).to(passed.dtype)
        size = torch.relu(1 - logits * (2 * y - 1))
        return size, (size / (1 + size)).detach()


def _flat(x: Tensor) -> Tensor:
    """(N, C, *S) as (N, C, M)."""
    return x.unsqueeze(-1).flatten(2)


def _weight(passed: OnePass) -> Tensor:
    return passed.labels.weight.unsqueeze(1) if passed.labels.of_pixels else passed.labels.weight


LovaszSoftmax = LovaszSoftmaxLoss
LovaszSoftmaxCfg = LovaszSoftmaxLossCfg
