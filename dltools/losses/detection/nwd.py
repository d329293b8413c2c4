"""NWD loss: boxes as normal distributions, for objects so small that their boxes hardly ever meet."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.functional.boxes import box_spans
from dltools.losses.box import BoxLoss, BoxLossCfg


class NWDLossCfg(BoxLossCfg["NWDLoss"]):
    constant: Positive = 12.8
    """Distance at which the similarity is 1/e: the mean size of objects in the data, in pixels; 12.8 in AI-TOD."""


class NWDLoss(BoxLoss[NWDLossCfg]):
    r"""One minus the normalized Wasserstein distance, :math:`1 - e^{-W / C}`; mean over pairs of boxes.

    :math:`W^2 = d_x^2 + d_y^2 + ((w - w_t)^2 + (h - h_t)^2) / 4`, with :math:`d` the difference of the centres, is that
    of normal distributions with deviations of half a side. Shapes: pred and target (N, 4); mask and weight_map (N,).
    Raises ShapeError.

    >>> import torch
    >>> loss = NWDLoss(constant=4.0)
    >>> loss(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[4.0, 0.0, 6.0, 2.0]]))
    tensor(0.6321)

    Source: Wang et al. 2021, arXiv:2110.13389.
    """

    def pair(self, pred: Tensor, target: Tensor) -> Tensor:
        s = box_spans(pred, target)
        distance = torch.linalg.vector_norm(torch.cat([s.shift, s.growth / 2], -1), dim=-1)
        return -torch.expm1(-distance / self.cfg.constant)
