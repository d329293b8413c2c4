"""SSIM loss: images whose structure differs."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.errors import ConfigError
from dltools.functional.ssim import Similarity, interior, structural_similarity
from dltools.losses.base import LossCfg, T_co
from dltools.losses.element import elements
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss

SimilarityCfgT = TypeVar("SimilarityCfgT", bound="SimilarityLossCfg[Any]")


class SimilarityLossCfg(LossCfg[T_co]):
    """What losses of structural similarity have in common."""

    data_range: Positive = 1.0
    """Difference of the largest and the least possible value: 255 for bytes, 2 for images from -1 to 1."""
    window: PositiveInt = 11
    """Size of the window in pixels, odd."""
    sigma: Positive = 1.5
    """Of its Gaussian, in pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window % 2 == 0:
            raise ConfigError(f"window is {self.window}", expected="an odd number of pixels")


class SimilarityLoss(MeanLoss[SimilarityCfgT]):
    """A loss of the local similarity of images."""

    def similarity(self, x: Tensor, y: Tensor, valid: Tensor | None) -> Similarity:
        """That of all windows."""
        cfg = self.cfg
        return structural_similarity(x, y, data_range=cfg.data_range, window=cfg.window, sigma=cfg.sigma, valid=valid)

    def inner(self, x: Tensor) -> Tensor:
        """The centres of all windows."""
        return interior(x, self.cfg.window)


class SSIMLossCfg(SimilarityLossCfg["SSIMLoss"]):
    """What losses of similarity have."""


class SSIMLoss(SimilarityLoss[SSIMLossCfg]):
    r"""One minus the structural similarity, mean over the windows whose centre counts.

    A window has nothing but pixels that count. ``none`` gives the loss of each window, each size less ``window - 1``.

    Shapes: pred and target (N, C, *S), 1 to 3 sizes of at least ``window``, floats; mask and weight_map (N, *S) or
    (N, C, *S). Raises ShapeError.

    >>> x = torch.ones(1, 1, 16, 16)
    >>> SSIMLoss()(0.5 * x, x)
    tensor(0.2000)

    Source: Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity.
    """

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pair = elements(view)
        loss = 1 - self.similarity(pair.pred, pair.target, pair.valid).ssim
        weight = self.inner(pair.weigh(torch.ones_like(pair.pred))[0])
        return loss * weight, weight.sum(dtype=torch.float64)
