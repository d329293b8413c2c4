"""Centreline Dice: whether the skeletons of tubes are found, and lie in tubes."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.functional.edges import dilate, shave
from dltools.losses.overlap import OverlapLossCfg
from dltools.losses.segmentation.thin import ThinLoss, worn


class CLDiceLossCfg(OverlapLossCfg["CLDiceLoss"]):
    iterations: PositiveInt = 10
    """How often masks are eroded to find their skeleton: half the width of the thickest tube, in pixels."""


class CLDiceLoss(ThinLoss[CLDiceLossCfg]):
    r"""One minus :math:`2 P R / (P + R)`, :math:`P = \sum S_p y / \sum S_p`, :math:`R = \sum S_y p / \sum S_y`.

    :math:`S_m` is the soft skeleton of a mask: what openings take away from it, after each of the iterations' erosions
    by direct neighbours. A class without a skeleton in the target is treated as absent. Excluded pixels are as if
    beyond the image's border.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> loss = CLDiceLoss(task="binary", holds="probs")
    >>> tube = torch.zeros(1, 1, 5, 7)
    >>> tube[..., 2, :] = 1
    >>> loss(0.5 * tube, tube)
    tensor(0.3333)

    Source: Shit et al. 2021, arXiv:2003.07311.
    """

    def thin(self, mask: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        skeleton, left = torch.zeros_like(mask), mask
        for _ in range(self.cfg.iterations + 1):
            less = worn(shave, left, valid)
            ridge = (left - dilate(less)).relu()
            skeleton, left = skeleton + (1 - skeleton) * ridge, less
        return skeleton, mask
