"""LDAM loss: the rarer a class, the wider its margin."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative, Positive
from dltools.functional.softmax_pass import softmax_pass
from dltools.functional.sums import one_of
from dltools.functional.targets import Labels
from dltools.losses.buffers import buffer_on
from dltools.losses.classification.classes import CountedLossCfg, of_classes, scores
from dltools.losses.pixel import AnyPixelLoss
from dltools.losses.view import View


class LDAMLossCfg(CountedLossCfg["LDAMLoss"]):
    max_margin: NonNegative = 0.5
    """Margin of the rarest class."""
    scale: Positive = 30.0
    """What scores are multiplied by, which its authors take from unit vectors."""


class LDAMLoss(AnyPixelLoss[LDAMLossCfg]):
    r"""Cross entropy of :math:`s z` with a margin, :math:`s (z_t - \Delta_t)`, for the target's class.

    :math:`\Delta_c \propto n_c^{-1/4}` for :math:`n_c` samples of a class; mean over valid pixels. The deferred
    weights of its authors are ``class_weights`` of another config, for the last epochs.

    Shapes: pred (N, C, *S), target (N, *S) of integers. Raises ShapeError.

    >>> loss = LDAMLoss(class_counts=(16.0, 1.0), scale=1.0)
    >>> loss(torch.zeros(1, 2), torch.tensor([0])), loss(torch.zeros(1, 2), torch.tensor([1]))
    (tensor(0.8259), tensor(0.9741))

    Source: Cao et al. 2019, arXiv:1906.07413.
    """

    margin: Tensor

    def setup(self) -> None:
        margin = torch.tensor(self.cfg.class_counts, dtype=torch.float64) ** -0.25
        self.register_buffer("margin", margin * (self.cfg.max_margin / margin.amax()), persistent=False)

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self.look(view)
        z, labels, share = scores(passed, view.target), passed.labels, self.share_of(passed.labels)
        margin = of_classes(buffer_on(self, "margin", z.device), passed)[labels.y].unsqueeze(1)
        wide = torch.where(one_of(labels.y, z.shape[1]), margin, 0)
        log_p, _ = softmax_pass(self.cfg.scale * (z - wide), labels.y, labels.valid)
        return labels, -log_p if share is None else -log_p * share, share
