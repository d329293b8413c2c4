"""Jensen-Shannon divergence."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.functional.probs import log_of, tiny_of
from dltools.functional.targets import Labels
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import AnyPixelLoss
from dltools.losses.view import View


class JSLossCfg(DenseLossCfg["JSLoss"]):
    """No options of its own."""


class JSLoss(AnyPixelLoss[JSLossCfg]):
    r"""Jensen-Shannon divergence, :math:`\frac12 KL(p \| m) + \frac12 KL(y \| m)`, mean over valid pixels.

    :math:`m = (p + y) / 2`; it is 0 to :math:`\log 2`, and the same with prediction and target exchanged. A binary
    or multilabel element has two classes, presence and absence. Class weights weigh pixels, by :math:`\sum_c w_c y_c`.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = JSLoss()
    >>> loss(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]])), loss(torch.zeros(1, 2), torch.tensor([0]))
    (tensor(0.), tensor(0.2158))

    Source: Lin 1991, Divergence measures based on the Shannon entropy.
    """

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self.look(view)
        labels, share, log_p = passed.labels, self.share_of(passed.labels), passed.log_p
        y = labels.y if labels.soft else torch.ones_like(log_p)  # of what the label says, against the rest
        loss = _part(log_p, y)
        if labels.of_pixels and labels.soft:
            loss = loss.sum(1)
        else:
            rest = log_of(-log_p.expm1(), tiny_of(log_p)) if passed.log_q is None else passed.log_q
            loss = loss + _part(rest, 1 - y)
        return labels, loss if share is None else loss * share, share


def _part(log_p: Tensor, y: Tensor) -> Tensor:
    """What one class gives."""
    p, tiny = log_p.exp(), tiny_of(log_p)
    log_m = log_of((p + y) / 2, tiny)
    return (y * (log_of(y, tiny) - log_m) + p * (log_p - log_m)) / 2
