"""Negative log-likelihood: cross entropy of log-probabilities."""

from __future__ import annotations

from torch import Tensor

from dltools.functional.targets import Holds
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import PixelLoss


class NLLLossCfg(DenseLossCfg["NLLLoss"]):
    holds: Holds = "log_probs"
    """What ``pred`` is; never guessed."""


class NLLLoss(PixelLoss[NLLLossCfg]):
    r"""Negative log-likelihood, :math:`-\log p_t`, of predictions that hold :math:`\log p`, mean over valid pixels.

    Equals ``torch.nn.functional.nll_loss``, and is 0 where that is NaN because nothing is valid. Soft targets,
    binary and multilabel ones as for ``CELoss``.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> import torch
    >>> loss = NLLLoss()
    >>> loss(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([0]))
    tensor(1.3863)
    """

    def pixel(self, log_p: Tensor) -> Tensor:
        return -log_p


NLL = NLLLoss
NLLCfg = NLLLossCfg
