"""Logit adjustment: cross entropy that knows how frequent the classes are."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.functional.probs import log_of, tiny_of
from dltools.functional.targets import Labels
from dltools.losses.buffers import buffer_on
from dltools.losses.classification.classes import CountedLossCfg, of_classes
from dltools.losses.pixel import AnyPixelLoss, along_channels
from dltools.losses.view import View


class LogitAdjustedLossCfg(CountedLossCfg["LogitAdjustedLoss"]):
    tau: NonNegative = 1.0
    """How much the counts count; 0 is cross entropy."""


class LogitAdjustedLoss(AnyPixelLoss[LogitAdjustedLossCfg]):
    r"""Cross entropy of the logits :math:`z_c + \tau \log \pi_c`, mean over valid pixels; :math:`\pi` are class shares.

    A network trained so predicts rare classes as well as frequent ones by its plain logits. Counts may be shares.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = LogitAdjustedLoss(class_counts=(90.0, 10.0))
    >>> loss(torch.zeros(1, 2), torch.tensor([1]))
    tensor(2.3026)

    Source: Menon et al. 2020, arXiv:2007.07314.
    """

    shift: Tensor

    def setup(self) -> None:
        shift = torch.tensor(self.cfg.class_counts, dtype=torch.float64).log() * self.cfg.tau
        self.register_buffer("shift", shift - shift.amax(), persistent=False)

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self.look(view)
        labels, log_p = passed.labels, passed.log_p
        shift = of_classes(buffer_on(self, "shift", log_p.device), passed)
        # softmax(z + shift) = p e^shift / sum(p e^shift): no second softmax
        norm = log_of((passed.prob * along_channels(shift.exp(), passed.prob)).sum(1), tiny_of(log_p))
        if labels.soft:
            log_p = labels.y * (log_p + along_channels(shift, log_p) - norm.unsqueeze(1))
            classes = self.weights_like(log_p)
            loss = -(log_p if classes is None else log_p * along_channels(classes, log_p)).sum(1)
            return labels, loss, self.share_of(labels)
        loss, share = norm - log_p - shift[labels.y], self.share_of(labels)
        return labels, loss if share is None else loss * share, share
