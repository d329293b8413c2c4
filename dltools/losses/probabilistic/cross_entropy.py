"""Cross entropy."""

from __future__ import annotations

from torch import Tensor

from dltools.cfgutils.annotations import Unit
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import PixelLoss


class CELossCfg(DenseLossCfg["CELoss"]):
    label_smoothing: Unit = 0.0
    """Share of the target that goes evenly to all classes."""


class CELoss(PixelLoss[CELossCfg]):
    r"""Cross entropy, :math:`-\log p_t`, mean over valid pixels; class-weighted :math:`-\sum w_t \log p_t / \sum w_t`.

    Equals ``torch.nn.functional.cross_entropy`` for class indices, and is 0 where that is NaN because nothing is
    valid. Class weights are normalised for soft targets too, where torch's are not. Natural logarithm.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = CELoss()
    >>> loss(torch.zeros(2, 19, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long))
    tensor(2.9444)
    """

    def setup(self) -> None:
        self.smoothing: float = self.cfg.label_smoothing

    def pixel(self, log_p: Tensor) -> Tensor:
        return -log_p


CE = CrossEntropyLoss = CELoss
CECfg = CrossEntropyLossCfg = CELossCfg
