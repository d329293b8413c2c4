"""Style loss: images whose features occur together alike, wherever they are."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.errors import ShapeError
from dltools.losses.adversarial.features import FeatureLoss, FeatureLossCfg


class StyleLossCfg(FeatureLossCfg["StyleLoss"]):
    """What all losses of features have."""


class StyleLoss(FeatureLoss[StyleLossCfg]):
    r"""Distance of Gram matrices, :math:`G_{cd} = \sum_s f_{cs} f_{ds} / (C S)`: mean over entries, sum over layers.

    The paper takes the sum over entries, C² times as much. Features are (N, C, *S). Mean over samples.

    >>> import torch
    >>> StyleLoss()([torch.ones(1, 2, 4)], [torch.zeros(1, 2, 4)])
    tensor(0.2500)

    Source: Johnson et al. 2016, arXiv:1603.08155.
    """

    def compared(self, features: Tensor) -> Tensor:
        if features.ndim < 2:
            raise ShapeError(f"features {tuple(features.shape)}", expected="(N, C, *S)")
        flat = features.unsqueeze(-1).flatten(2)
        with torch.autocast(flat.device.type, enabled=False):
            return flat @ flat.mT / max(flat.shape[1] * flat.shape[2], 1)
