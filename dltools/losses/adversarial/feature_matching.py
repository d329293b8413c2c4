"""Feature matching: fakes that a discriminator sees as it sees what is real."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from dltools.losses.adversarial.features import FeatureLoss, FeatureLossCfg


class FeatureMatchingLossCfg(FeatureLossCfg["FeatureMatchingLoss"]):
    distance: Literal["l1", "mse"] = "l1"
    """Absolute or squared difference."""


class FeatureMatchingLoss(FeatureLoss[FeatureMatchingLossCfg]):
    r"""Distance of a discriminator's features, :math:`\sum_l w_l \, \overline{|\hat f_l - f_l|}`, mean over samples.

    >>> import torch
    >>> fake, real = {"1": torch.zeros(1, 4, 2, 2)}, {"1": torch.full((1, 4, 2, 2), 3.0)}
    >>> FeatureMatchingLoss()(fake, real)
    tensor(3.)

    Source: Wang et al. 2018, arXiv:1711.11585.
    """

    def compared(self, features: Tensor) -> Tensor:
        return features
