"""Multi-class margin loss: every other class must score lower by a margin."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dltools.functional.sums import one_of, pick
from dltools.functional.targets import Labels
from dltools.losses.classification.classes import ClassLossCfg, scores
from dltools.losses.pixel import AnyPixelLoss
from dltools.losses.view import View


class MultiMarginLossCfg(ClassLossCfg["MultiMarginLoss"]):
    margin: float = 1.0
    """How much the class of the target must score above each other one."""
    power: Literal[1, 2] = 1
    """Of what is missing."""


class MultiMarginLoss(AnyPixelLoss[MultiMarginLossCfg]):
    r"""Multi-class margin loss, :math:`\frac1C \sum_{c \ne t} \max(0, m - z_t + z_c)^p`, mean over valid pixels.

    Equals ``torch.nn.functional.multi_margin_loss``, save that the mean is normalised by class weights.

    Shapes: pred (N, C, *S), target (N, *S) of integers. Raises ShapeError.

    >>> loss = MultiMarginLoss()
    >>> loss(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([3]))
    tensor(0.3250)

    Source: Crammer and Singer 2001, On the algorithmic implementation of multiclass kernel-based vector machines.
    """

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self.look(view)
        z, labels, share = scores(passed, view.target), passed.labels, self.share_of(passed.labels)
        missing = (self.cfg.margin - pick(z, labels.y).unsqueeze(1) + z).clamp_min(0) ** self.cfg.power
        loss = torch.where(one_of(labels.y, z.shape[1]), 0, missing).mean(1)
        return labels, loss if share is None else loss * share, share
