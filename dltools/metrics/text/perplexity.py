"""Perplexity of a language model."""

from __future__ import annotations

import math
from typing import ClassVar

from dltools.meters.report import Reading
from dltools.metrics.classification.proper import ProperScore, ProperScoreCfg
from dltools.states import States


class PerplexityCfg(ProperScoreCfg["Perplexity"]):
    pass


class Perplexity(ProperScore[PerplexityCfg]):
    """Exponential of the mean negative log-likelihood: V where all of V words are equally likely.

    Shapes: pred (N, V, T), target (N, T).

    >>> import torch
    >>> perplexity = Perplexity()
    >>> perplexity.update(torch.zeros(2, 50, 7), torch.zeros(2, 7, dtype=torch.int64))
    >>> perplexity.compute()
    Report(perplexity=50)
    """

    higher: ClassVar[bool | None] = False

    def value(self, s: States) -> Reading:
        found = self.mean(s, "nll")
        return found._replace(value=math.exp(found.value) if not found.value > 709 else math.inf)
