"""MS-SSIM loss: structure at several scales."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.errors import ConfigError, ShapeError
from dltools.functional.sums import add_up, ratio
from dltools.losses.adversarial.ssim import SimilarityLoss, SimilarityLossCfg
from dltools.losses.element import elements
from dltools.losses.view import View


class MSSSIMLossCfg(SimilarityLossCfg["MSSSIMLoss"]):
    weights: tuple[Positive, ...] = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    """Powers of the scales, each half as large as the one before."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.weights:
            raise ConfigError("weights is ()", expected="a number > 0 for each scale")


class MSSSIMLoss(SimilarityLoss[MSSSIMLossCfg]):
    r"""One minus :math:`\prod_j s_j^{w_j}`, of the mean structure of each scale, at the last one the mean SSIM.

    Mean over channels and samples, each as much as its windows count; ``none`` gives (N, C). A scale without a window
    that counts is left out. A mean below 0 counts as 0; its power is continued by a line below 1e-6, so that its slope
    is finite.

    Shapes: pred and target (N, C, *S), 1 to 3 sizes of at least ``window`` times 2 for each scale after the first,
    floats; mask and weight_map (N, *S) or (N, C, *S). Raises ShapeError.

    >>> x = torch.ones(1, 1, 176, 176)
    >>> MSSSIMLoss()(0.5 * x, x)
    tensor(0.0293)

    Source: Wang et al. 2003, Multi-scale Structural Similarity for Image Quality Assessment.
    """

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pair = elements(view)
        self._fit(pair.pred)
        x, y, weight = pair.pred, pair.target, pair.weigh(torch.ones_like(pair.pred))[0]
        masked, last = pair.valid is not None, len(self.cfg.weights) - 1
        share = self.inner(weight).mean(tuple(range(2, x.ndim)))
        product = torch.ones_like(share)
        for scale, power in enumerate(self.cfg.weights):
            found = self.similarity(x, y, weight != 0 if masked else None)
            inner = self.inner(weight)
            top = add_up((found.ssim if scale == last else found.structure) * inner)
            below = add_up(inner)
            mean = torch.where(below == 0, 1, ratio(top, below))
            product = product * _power(mean, power)
            if scale < last:
                there = _halve((weight != 0).to(x.dtype))
                x, y, weight = ratio(_halve(x), there), ratio(_halve(y), there), _halve(weight)
        return (1 - product) * share, share.sum(dtype=torch.float64)

    def _fit(self, x: Tensor) -> None:
        least = self.cfg.window * 2 ** (len(self.cfg.weights) - 1)
        if x.ndim not in (3, 4, 5) or min(x.shape[2:]) < least:
            expected = f"(N, C, *S), 1 to 3 sizes of at least {least}"
            raise ShapeError(f"images {tuple(x.shape)}", expected=expected, hint="fewer weights, or a smaller window")


def _halve(x: Tensor) -> Tensor:
    """Means of two pixels in each dimension; a last odd one is left out."""
    return (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.ndim - 3](x, 2)


def _power(x: Tensor, power: float, least: float = 1e-6) -> Tensor:
    return torch.where(x < least, x.clamp_min(0) * least ** (power - 1), x.clamp_min(least) ** power)
