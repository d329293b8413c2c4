"""Losses of generators and discriminators."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.losses.base import LossCfg, T_co
from dltools.losses.element import read_elements
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss, refuse_values, spread

GANCfgT = TypeVar("GANCfgT", bound="GANLossCfg[Any]")


class GANLossCfg(LossCfg[T_co]):
    """What adversarial losses have in common."""

    side: Literal["discriminator", "generator"] = "discriminator"
    """Who learns."""


class GANLoss(MeanLoss[GANCfgT]):
    """A loss of a discriminator's scores, mean over what counts.

    For the discriminator the target says what each score was given to: 1 real, 0 fake. What a generator pays for a
    score does not depend on it: all scores that it sees should rise.

    Shapes: pred, raw scores (N, ...); target of the same shape or (N,), any dtype; mask and weight_map alike. A target
    out of range is left out and counted. Raises ShapeError.
    """

    @abstractmethod
    def real(self, score: Tensor) -> Tensor:
        """What the discriminator pays for what is real."""

    @abstractmethod
    def fake(self, score: Tensor) -> Tensor:
        """What the discriminator pays for what is fake."""

    @abstractmethod
    def fooled(self, score: Tensor) -> Tensor:
        """What the generator pays."""

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pred, target, mask, weight_map = view.tensors()
        dtype = torch.promote_types(pred.dtype, torch.float32)
        share = spread(target, pred.shape, -1, "target").to(dtype).expand(pred.shape)
        legal = (share >= 0) & (share <= 1)
        pair = view.once("scores", partial(read_elements, pred, share, mask, weight_map, mask_dim=-1, legal=legal))
        if self.cfg.check:
            refuse_values(pair.bad, pair.target)
        if self.cfg.side == "generator":
            return pair.weigh(self.fooled(pair.pred))
        return pair.weigh(torch.lerp(self.fake(pair.pred), self.real(pair.pred), pair.target))


class NSGANLossCfg(GANLossCfg["NSGANLoss"]):
    """The side alone."""


class NSGANLoss(GANLoss[NSGANLossCfg]):
    r"""Non-saturating loss: :math:`-\log \sigma(s)` real and for the generator, :math:`-\log(1 - \sigma(s))` fake.

    >>> NSGANLoss()(torch.zeros(2), torch.tensor([1, 0]))
    tensor(0.6931)

    Source: Goodfellow et al. 2014, arXiv:1406.2661.
    """

    def real(self, score: Tensor) -> Tensor:
        return F.softplus(-score)

    def fake(self, score: Tensor) -> Tensor:
        return F.softplus(score)

    def fooled(self, score: Tensor) -> Tensor:
        return F.softplus(-score)


class LSGANLossCfg(GANLossCfg["LSGANLoss"]):
    """The side alone."""


class LSGANLoss(GANLoss[LSGANLossCfg]):
    r"""Least squares: :math:`(s - 1)^2` real and for the generator, :math:`s^2` fake; the paper writes half of them.

    >>> LSGANLoss()(torch.tensor([0.5, 2.0]), torch.tensor([1, 0]))
    tensor(2.1250)

    Source: Mao et al. 2017, arXiv:1611.04076.
    """

    def real(self, score: Tensor) -> Tensor:
        return (score - 1).square()

    def fake(self, score: Tensor) -> Tensor:
        return score.square()

    def fooled(self, score: Tensor) -> Tensor:
        return (score - 1).square()


class HingeGANLossCfg(GANLossCfg["HingeGANLoss"]):
    """The side alone."""


class HingeGANLoss(GANLoss[HingeGANLossCfg]):
    r"""Hinges: :math:`\max(0, 1 - s)` real, :math:`\max(0, 1 + s)` fake, :math:`-s` for the generator.

    >>> HingeGANLoss()(torch.tensor([0.5, 2.0]), torch.tensor([1, 0]))
    tensor(1.7500)

    Source: Lim and Ye 2017, arXiv:1705.02894.
    """

    def real(self, score: Tensor) -> Tensor:
        return F.relu(1 - score)

    def fake(self, score: Tensor) -> Tensor:
        return F.relu(1 + score)

    def fooled(self, score: Tensor) -> Tensor:
        return -score


class WGANLossCfg(GANLossCfg["WGANLoss"]):
    """The side alone."""


class WGANLoss(GANLoss[WGANLossCfg]):
    r"""Wasserstein loss of a critic: :math:`-s` real and for the generator, :math:`s` fake; may be negative.

    >>> WGANLoss()(torch.tensor([0.5, 2.0]), torch.tensor([1, 0]))
    tensor(0.7500)

    Source: Arjovsky et al. 2017, arXiv:1701.07875.
    """

    def real(self, score: Tensor) -> Tensor:
        return -score

    def fake(self, score: Tensor) -> Tensor:
        return score

    def fooled(self, score: Tensor) -> Tensor:
        return -score
