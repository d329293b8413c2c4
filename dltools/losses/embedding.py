"""Losses of embeddings: a sample is compared with all others of the batch, of all ranks."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor

from dltools.dist import gather, rank, world
from dltools.errors import DltoolsError, ShapeError
from dltools.functional.sums import total
from dltools.functional.targets import describe
from dltools.functional.widen import widen
from dltools.losses.base import LossCfg, T_co
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss, Pair, read_weights, spread

EmbeddingCfgT = TypeVar("EmbeddingCfgT", bound="EmbeddingLossCfg[Any]")
Needs: TypeAlias = Literal["nothing", "partner", "positive", "both"]


class EmbeddingLossCfg(LossCfg[T_co]):
    """What losses of embeddings have in common."""

    ignore_index: int | None = None
    """A label whose samples do not count; it may be a legal one."""


class EmbeddingLoss(MeanLoss[EmbeddingCfgT]):
    """The mean of terms, one for each embedding that counts and has what a term ``needs``.

    Shapes: pred (N, D), floats; target (N,), integers; mask and weight_map (N,). A label below 0 is out of range.
    Excluded samples are neither anchors nor partners. Weights weigh terms; partners count alike.

    With ``sync`` each rank sees the embeddings of all and gives its part of the sums, one in so many: so the backward
    needs no collective, and parameters of a loss get their gradient once. That is a gather of all rows (two
    collectives; it reads their numbers) before the all_reduce of the sums; none if a loss ``needs`` nothing.
    """

    needs: Needs = "positive"
    """What must be there for a sample to have a term: another sample, one of the same label, or one of each kind."""
    num_classes: int | None = None
    """Labels are below it, if a loss knows the classes."""

    @abstractmethod
    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        """Loss of each sample (N,); excluded ones have the embedding 0 and the label -1: ``partners`` skips them."""

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pair = self._look(view)
        weights = (pair.target >= 0).double() if pair.weights is None else pair.weights.double()
        rows, shares = Rows(pair.pred, pair.target, weights), 1
        if self.needs != "nothing" and self.cfg.sync != "none":
            rows, shares = rows.of_all(), world()
        with torch.autocast(rows.x.device.type, enabled=False):
            none = not len(rows.x) and self.needs != "nothing"
            terms = rows.x.sum(1) if none else self.terms(rows.x, rows.labels)
        weight = torch.where(self._anchors(rows.labels), rows.weights, 0)
        terms = torch.where(weight != 0, terms, 0) * weight
        return terms / shares, total(weight) / shares

    def _anchors(self, labels: Tensor) -> Tensor:
        if self.needs == "nothing":
            return labels >= 0
        same, other = partners(labels)
        if self.needs == "partner":
            return (same | other).any(1)
        return same.any(1) if self.needs == "positive" else same.any(1) & other.any(1)

    def _look(self, view: View) -> Pair[Tensor]:
        """Embeddings and labels, shared with losses that read them alike."""
        ignored, num_classes = self.cfg.ignore_index, self.num_classes
        pair = view.once(("embeddings", ignored, num_classes), lambda: self._read(*view.tensors()))
        if self.cfg.check and int(pair.bad):
            legal = "0 or more" if num_classes is None else f"0 to {num_classes - 1}"
            expected = f"labels {legal}, or ignore_index, which is {ignored}"
            raise DltoolsError(f"target has labels from {int(view.target.min())} to {int(view.target.max())}", expected)
        return pair

    def _read(self, pred: Tensor, target: Tensor, mask: Tensor | None, weight_map: Tensor | None) -> Pair[Tensor]:
        fits = pred.ndim == 2 and target.shape == pred.shape[:1] and pred.shape[1] > 0
        if not fits or not pred.is_floating_point() or target.is_floating_point():
            raise ShapeError(describe(pred, target), expected="embeddings (N, D) of floats, labels (N,) of integers")
        labels = target.long()
        legal = labels >= 0
        if self.num_classes is not None:
            legal &= labels < self.num_classes
        if self.cfg.ignore_index is not None:
            wanted = labels != self.cfg.ignore_index
            mask = wanted if mask is None else wanted & (spread(mask, labels.shape, 1, "mask") != 0)
        x = widen(pred)
        found = read_weights(x, labels.shape, mask, weight_map, dtype=x.dtype, legal=legal)
        valid = legal if found.valid is None else found.valid
        return found.of(torch.where(valid.unsqueeze(1), x, 0), torch.where(valid, labels, -1))


class Rows(NamedTuple):
    """Samples of this rank, or of all."""

    x: Tensor
    labels: Tensor
    weights: Tensor

    def of_all(self) -> Rows:
        """The rows of all ranks, of which each owns its part; their slopes, divided by the ranks, add up to the whole.

        They travel as bytes, so that one gather serves for all columns.
        """
        x, ranks = self.x, world()
        if ranks == 1:
            return self
        home = torch.full_like(self.labels, rank())
        columns = [x.detach(), self.labels.unsqueeze(1), self.weights.unsqueeze(1), home.unsqueeze(1)]
        sizes = [one.shape[1] * one.element_size() for one in columns]
        sent = gather(torch.cat([one.contiguous().view(torch.uint8) for one in columns], 1))
        everyone, labels, weights, homes = (
            part.contiguous().view(one.dtype)
            for part, one in zip(torch.split_with_sizes(sent, sizes, 1), columns, strict=True)
        )
        own = (homes < rank()).sum() + torch.arange(len(x), device=x.device)
        steep = x.detach() + (x - x.detach()) * ranks
        return Rows(everyone.index_copy(0, own, steep), labels.squeeze(1), weights.squeeze(1))


def partners(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which samples have the same label as another one, and which have another; not themselves, none below 0: (N, N).

    >>> same, other = partners(torch.tensor([5, 5, 7, -1]))
    >>> same.sum(1).tolist(), other.sum(1).tolist()
    ([1, 1, 0, 0], [1, 1, 2, 0])
    """
    valid = labels >= 0
    both = valid.unsqueeze(1) & valid
    equal = labels.unsqueeze(1) == labels
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return both & equal & ~itself, both & ~equal
