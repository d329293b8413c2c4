"""Mean of a pixel loss over the pixels where it is highest."""

from __future__ import annotations

from typing import Annotated, Any, cast

import torch
from annotated_types import Gt, Le
from torch import Tensor

from dltools.cfgutils.config import build, product_class
from dltools.errors import ConfigError
from dltools.functional.sums import ratio, total
from dltools.losses.base import Loss, LossCfg
from dltools.losses.dense import DenseLossCfg
from dltools.losses.distutils import Sums, Sync, sync_sums
from dltools.losses.pixel import AnyPixelLoss
from dltools.losses.probabilistic.cross_entropy import CELossCfg
from dltools.losses.view import View


class HardestPixelsLossCfg(LossCfg["HardestPixelsLoss"]):
    loss: DenseLossCfg[Any] = CELossCfg()
    """A pixel loss, such as CELoss or FocalLoss; it says how predictions and targets are read."""
    share: Annotated[float, Gt(0), Le(1)] = 0.25
    """Of the valid pixels that count."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not issubclass(product_class(type(self.loss)), AnyPixelLoss):
            raise ConfigError(f"loss is a {self.loss.tag}", expected="a pixel loss, such as CELoss")
        if self.loss.reduction != "mean" or self.loss.sync != "none":
            raise ConfigError(
                f"loss has reduction={self.loss.reduction!r}, sync={self.loss.sync!r}",
                expected="both at their defaults: those of the whole count",
            )


class HardestPixelsLoss(Loss[HardestPixelsLossCfg]):
    """Mean of a pixel loss over the hardest share of valid pixels (online hard example mining, OHEM).

    Pixels in the order of their loss, highest first, count until their weights make up ``share`` of all; the last one,
    and those whose loss is the same in float32, count by what is then missing. Weights (``weight_map``, class
    weights) are so many equal pixels.

    With ``sync`` it is the share of the pixels of all ranks: the lowest loss that counts is found by two histograms of
    65536 bins, each added up in one more all_reduce.

    Shapes and errors: those of ``loss``.

    >>> import torch
    >>> loss = HardestPixelsLoss(share=0.5)
    >>> loss(torch.zeros(1, 2, 4), torch.tensor([[0, 1, 255, 255]]))
    tensor(0.6931)

    Source: Shrivastava et al. 2016, arXiv:1604.03540.
    """

    def setup(self) -> None:
        cfg = self.cfg.loss
        self.inner: AnyPixelLoss[Any] = cast("AnyPixelLoss[Any]", build(cfg.replace(check=cfg.check or self.cfg.check)))

    def sums(self, view: View) -> Sums:
        labels, loss, weight = self.inner.weighted(*self.inner.elements(view))
        hardness = loss if weight is None else ratio(loss, weight)
        weight = labels.weight if weight is None else weight
        chosen = hardest(hardness.detach(), weight, self.cfg.share, self.cfg.sync)
        if self.cfg.reduction == "none":
            loss = loss * chosen
            return {"loss": loss.squeeze(1) if self.inner.cfg.task == "binary" else loss}
        return {"loss": total(loss * chosen), "weight": total(weight * chosen)}

    def value(self, sums: Sums) -> Tensor:
        return ratio(sums["loss"], sums["weight"]) if self.cfg.reduction == "mean" else sums["loss"]


OHEM = HardestPixelsLoss
OHEMCfg = HardestPixelsLossCfg


def hardest(x: Tensor, weight: Tensor, share: float, sync: Sync = "none") -> Tensor:
    """How much of each element counts, 0 to 1, until the highest ones make up a share of all weights.

    >>> hardest(torch.tensor([1.0, 3.0, 2.0, 2.0]), torch.ones(4), 0.5)
    tensor([0.0000, 1.0000, 0.5000, 0.5000])
    """
    order, weight = _order(x), weight.double()
    high, low = order >> 16, order & 0xFFFF
    bins = _histogram(high, weight, sync)
    at, missing = _reach(bins, share * bins.sum())
    bins = _histogram(low, torch.where(high == at, weight, 0), sync)
    least, missing = _reach(bins, missing)
    last = (at << 16) | least
    part = ratio(missing, bins.gather(0, least))
    return torch.where(order == last, part, order > last).to(x.dtype)


def _order(x: Tensor) -> Tensor:
    """32 bits, as integers, that are in order as the numbers are in float32; NaN is the highest."""
    bits = (x.float() + 0.0).view(torch.int32).long()  # which makes one of both zeros
    return torch.where(bits < 0, -bits - 1, bits + 2**31).masked_fill(x.isnan(), 2**32 - 1)


def _histogram(index: Tensor, weight: Tensor, sync: Sync) -> Tensor:
    bins = torch.zeros(2**16, dtype=weight.dtype, device=weight.device)
    return sync_sums({"bins": bins.scatter_add(0, index.flatten(), weight.flatten())}, sync)["bins"]


def _reach(bins: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The bin in which all above it and itself make up what is wanted; what it has to give."""
    from_here = bins.flip(0).cumsum(0).flip(0)
    at = ((from_here >= wanted).count_nonzero() - 1).clamp_min(0).view(1)
    return at, (wanted - (from_here - bins).gather(0, at)).clamp_min(0)
