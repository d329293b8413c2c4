"""Perceptual loss: images that a network finds alike."""

from __future__ import annotations

from torch import Tensor

from dltools.losses.adversarial.features import FeatureLoss, FeatureLossCfg


class PerceptualLossCfg(FeatureLossCfg["PerceptualLoss"]):
    """What all losses of features have."""


class PerceptualLoss(FeatureLoss[PerceptualLossCfg]):
    r"""Distance of features, :math:`\sum_l w_l \, \overline{(\hat f_l - f_l)^2}`, mean over samples.

    >>> import torch
    >>> features = [torch.ones(1, 4, 2, 2), torch.ones(1, 8)]
    >>> PerceptualLoss(weights=(1.0, 0.5))(features, [2 * x for x in features])
    tensor(1.5000)

    Source: Johnson et al. 2016, arXiv:1603.08155.
    """

    def compared(self, features: Tensor) -> Tensor:
        return features
