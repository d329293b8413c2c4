"""How close images are to those that they should be."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.errors import ConfigError, ShapeError
from dltools.functional.ssim import structural_similarity
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.invalid import invalid, note_number
from dltools.states import State, States, Sum

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="ImageMetricCfg[Any]")


class ImageMetricCfg(MetricCfg[T_co]):
    """What values an image may have."""

    max_value: Positive = 1.0
    """Difference of the largest and the least possible value: 255 for bytes."""


class ImageMetric(Metric[CfgT]):
    """Mean over images of a number per image; pred and target (N, C, *S) of floats or bytes."""

    higher: ClassVar[bool | None] = True
    counts_by: ClassVar[tuple[str, ...]] = ("scores",)

    @abstractmethod
    def scores(self, pred: Tensor, target: Tensor) -> Tensor:
        """One number per image, (N,), of images in float64."""

    def layout(self) -> Mapping[str, State]:
        """Sum, images, and those with a value that is no number."""
        return {"sum": Sum(dtype=torch.float64), "n": Sum(), **invalid("pred", "target")}

    def check(self, pred: Tensor, target: Tensor) -> None:
        if pred.shape != target.shape or pred.ndim < 3:
            given = f"pred {tuple(pred.shape)}, target {tuple(target.shape)}"
            raise ShapeError(given, expected="images (N, C, *S) on both sides", hint="unsqueeze(1) for a channel")

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        keep = valid.view(-1, *[1] * (pred.ndim - 1))
        p, y = (torch.where(keep, x, 0).double() for x in (pred, target))
        strange = ~(p - y).isfinite()
        broken = strange.flatten(1).any(1)
        found = self.scores(*(x.masked_fill(broken.view(keep.shape), 0) for x in (p, y)))
        s.add("sum", torch.where(valid & ~broken, found, 0).sum())
        s["n"] += (valid & ~broken).sum()
        if note_number(s, broken):
            s.see("first", strange, p, y)

    def value(self, s: States) -> Reading:
        n = int(s["n"])
        return Reading(float(s["sum"]) / n if n else math.nan, n=n, invalid=int(s["invalid"]))

    def legal(self) -> str:
        return "Images must be finite."


class PSNRCfg(ImageMetricCfg["PSNR"]):
    pass


class PSNR(ImageMetric[PSNRCfg]):
    r"""Peak signal-to-noise ratio in decibels, :math:`10 \log_{10} (max^2 / MSE)`, mean over images.

    >>> psnr = PSNR(max_value=255.0)
    >>> psnr.update(torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 25.5))
    >>> psnr.compute()
    Report(psnr=20)
    """

    def scores(self, pred: Tensor, target: Tensor) -> Tensor:
        return 10 * (self.cfg.max_value**2 / (pred - target).square().flatten(1).mean(1)).log10()


class SSIMCfg(ImageMetricCfg["SSIM"]):
    window: PositiveInt = 11
    """Size of the window, odd."""
    sigma: Positive = 1.5
    """Of the Gaussian in the window, in pixels."""

    def __post_init__(self) -> None:
        if self.window % 2 == 0:
            raise ConfigError(f"window is {self.window}", expected="an odd number")


class SSIM(ImageMetric[SSIMCfg]):
    """Structural similarity, mean over windows, channels and images; nothing is padded.

    >>> ssim = SSIM()
    >>> image = torch.linspace(0, 1, 144).view(1, 1, 12, 12)
    >>> ssim.update(image, image)
    >>> ssim.compute()
    Report(ssim=1)

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
    """

    def check(self, pred: Tensor, target: Tensor) -> None:
        super().check(pred, target)
        if not 3 <= pred.ndim <= 5 or min(pred.shape[2:]) < self.cfg.window:
            expected = f"1 to 3 sizes of at least {self.cfg.window}"
            raise ShapeError(f"images {tuple(pred.shape)}", expected=expected, hint="a smaller window")

    def scores(self, pred: Tensor, target: Tensor) -> Tensor:
        cfg = self.cfg
        found = structural_similarity(pred, target, data_range=cfg.max_value, window=cfg.window, sigma=cfg.sigma)
        return found.ssim.flatten(1).mean(1)
