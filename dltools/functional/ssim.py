"""Structural similarity of images: how alike two are within a window that slides over them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.errors import ShapeError
from dltools.functional.sums import ratio


class Similarity(NamedTuple):
    """Two factors for each window, 1 for equal images: (N, C, *S), each size less ``window - 1``."""

    luminance: Tensor
    structure: Tensor
    """Contrast and structure in one."""

    @property
    def ssim(self) -> Tensor:
        """Their product."""
        return self.luminance * self.structure


def structural_similarity(
    x: Tensor,
    y: Tensor,
    *,
    data_range: float = 1.0,
    window: int = 11,
    sigma: float = 1.5,
    valid: Tensor | None = None,
) -> Similarity:
    r"""Local similarity of images, :math:`\frac{2 \mu_x \mu_y + c_1}{\mu_x^2 + \mu_y^2 + c_1}` and
    :math:`\frac{2 \sigma_{xy} + c_2}{\sigma_x^2 + \sigma_y^2 + c_2}`, with a Gaussian window; nothing is padded.

    Written as one minus squares of differences, over the same denominators: what is equal is exactly 1, and rounding
    leaves no denominator below a constant, :math:`c_k = (K_k \cdot range)^2`, :math:`K = (.01, .03)`.

    Args:
        x: images (N, C, *S) of one to three spatial dimensions, float32 or better; ``y`` alike.
        data_range: difference of the largest and the least possible value.
        window: size of the window, odd.
        sigma: of the Gaussian, in pixels.
        valid: pixels that exist, (N, 1 or C, *S); others change nothing, whatever finite they are. Windows around them
            say nothing.

    Raises a ShapeError for images smaller than the window.

    >>> x = torch.arange(144.0).view(1, 1, 12, 12) / 144
    >>> structural_similarity(x, 1 - x).ssim.mean(), structural_similarity(x, x).ssim.mean()
    (tensor(-0.9...), tensor(1.))

    Source: Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity.
    """
    if x.ndim not in (3, 4, 5) or x.shape != y.shape or min(x.shape[2:]) < window:
        expected = f"images (N, C, *S) of one shape, 1 to 3 sizes of at least {window}"
        raise ShapeError(f"images {tuple(x.shape)}, {tuple(y.shape)}", expected=expected, hint="a smaller window")
    maps, weights = (x, y, x * x + y * y, (x - y).square()), _gaussian(window, sigma)
    if valid is not None:
        there = valid.to(x.dtype)
        share = _blur(there, weights)
        mean_x, mean_y, squares, apart = (ratio(_blur(one * there, weights), share) for one in maps)
    else:
        mean_x, mean_y, squares, apart = (_blur(one, weights) for one in maps)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    level = mean_x.square() + mean_y.square()
    spread = (squares - level).clamp_min(0)
    between = (mean_x - mean_y).square()
    unlike = torch.minimum((apart - between).clamp_min(0), 2 * spread)
    return Similarity(1 - between / (level + c1), 1 - unlike / (spread + c2))


def interior(x: Tensor, window: int) -> Tensor:
    """The centres of all windows: (N, C, *S) without a rim of half a window."""
    rim = window // 2
    for dim in range(2, x.ndim):
        x = x.narrow(dim, rim, x.shape[dim] - 2 * rim)
    return x


def _gaussian(window: int, sigma: float) -> tuple[float, ...]:
    weights = [math.exp(-((at - window // 2) ** 2) / (2 * sigma * sigma)) for at in range(window)]
    return tuple(weight / math.fsum(weights) for weight in weights)


def _blur(x: Tensor, weights: tuple[float, ...]) -> Tensor:
    """The mean within each window, one dimension after the other."""
    slide = cast(Callable[..., Tensor], _Slide.apply)
    for dim in range(2, x.ndim):
        x = slide(x, weights, dim, False)
    return x


class _Slide(torch.autograd.Function):
    """A symmetric window along a dimension, or the transpose of that: several times faster than a convolution.

    And exact: convolutions shorten their floats under autocast and on GPUs, and variances drown.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: tuple[float, ...], dim: int, transposed: bool) -> Tensor:
        ctx.how = weights, dim, not transposed
        rim = len(weights) - 1
        if torch.compiler.is_compiling():  # a form that fuses
            x = F.pad(x, [0, 0] * (x.ndim - 1 - dim) + [rim, rim]) if transposed else x
            return (x.unfold(dim, rim + 1, 1) * torch.tensor(weights, dtype=x.dtype, device=x.device)).sum(-1)
        shape = list(x.shape)
        shape[dim] += rim if transposed else -rim
        out = x.new_zeros(shape)
        length = min(shape[dim], x.shape[dim])
        for at, weight in enumerate(weights):
            if transposed:
                out.narrow(dim, at, length).add_(x, alpha=weight)
            else:
                out.add_(x.narrow(dim, at, length), alpha=weight)
        return out

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None, None]:
        return cast(Callable[..., Tensor], _Slide.apply)(slopes[0], *ctx.how), None, None, None
