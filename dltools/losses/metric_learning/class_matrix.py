"""Losses that own a direction for each class."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.errors import ShapeError
from dltools.functional.sums import one_of
from dltools.functional.widen import widen
from dltools.losses.base import T_co
from dltools.losses.embedding import EmbeddingLoss, EmbeddingLossCfg, Needs
from dltools.losses.metric_learning.similarity import cosines
from dltools.rng import key

MatrixCfgT = TypeVar("MatrixCfgT", bound="ClassMatrixLossCfg[Any]")


class ClassMatrixLossCfg(EmbeddingLossCfg[T_co]):
    """What such losses have in common."""

    num_classes: PositiveInt
    dim: PositiveInt
    """Size of an embedding."""
    scale: Positive = 64.0
    """What cosines are multiplied by."""


class ClassMatrixLoss(EmbeddingLoss[MatrixCfgT]):
    """Cross entropy of scaled cosines between embeddings and the rows of ``weight``, that of the target with a margin.

    ``weight`` (num_classes, dim) is a parameter: give it to the optimizer. It starts from the same random directions in
    every process. Samples are independent of each other.
    """

    needs: Needs = "nothing"

    def setup(self) -> None:
        self.num_classes: int | None = self.cfg.num_classes
        start = 0.01 * torch.randn(self.cfg.num_classes, self.cfg.dim, generator=key(0, "class matrix").torch())
        self.weight: nn.Parameter = nn.Parameter(start)

    @abstractmethod
    def narrow(self, cos: Tensor) -> Tensor:
        """The cosine of a sample and its own class, less the margin."""

    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        if x.shape[1] != self.cfg.dim:
            given = f"embeddings {tuple(x.shape)}, dim {self.cfg.dim}"
            raise ShapeError(given, expected=f"(N, {self.cfg.dim})", hint=f"dim={x.shape[1]}")
        weight, labels = widen(self.weight), labels.clamp_min(0).unsqueeze(1)
        dtype = torch.promote_types(x.dtype, weight.dtype)
        cos = cosines(x.to(dtype), weight.to(dtype))
        own = self.cfg.scale * self.narrow(cos.gather(1, labels))
        logits = torch.where(one_of(labels.squeeze(1), self.cfg.num_classes), own, self.cfg.scale * cos)
        return logits.logsumexp(1) - own.squeeze(1)
