"""The ranking of one class: how many positives and negatives there are from each score on."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import torch

from dltools.meters.report import Array


class Ranked(NamedTuple):
    """Counts by cell, the highest scores first; cells without a score are left out."""

    pos: Array
    neg: Array
    cells: Array
    exact: bool
    """Whether the scores of a cell are equal; else their order inside it is not known."""

    @classmethod
    def of(cls, neg: Array, pos: Array, exact: bool) -> Self:
        """From histograms in rising order."""
        cells = np.flatnonzero(neg + pos)[::-1]
        return cls(pos[cells].astype(np.float64), neg[cells].astype(np.float64), cells, exact)

    @property
    def num_pos(self) -> float:
        """All positives."""
        return float(self.pos.sum())

    @property
    def num_neg(self) -> float:
        """All negatives."""
        return float(self.neg.sum())

    @property
    def is_mixed(self) -> bool:
        """Whether there are both."""
        return bool(self.num_pos and self.num_neg)

    @property
    def tp(self) -> Array:
        """Positives down to the end of each cell."""
        return self.pos.cumsum()

    @property
    def fp(self) -> Array:
        """Negatives down to the end of each cell."""
        return self.neg.cumsum()

    def corner(self) -> tuple[Array, Array]:
        """Positives and negatives where a cell's positives come first and its negatives are not reached yet.

        No threshold inside the cell, whatever the order, has more positives or fewer negatives than this. Where all
        scores of a cell are equal there is no such place, and this is the end of the cell.
        """
        return self.tp, self.fp if self.exact else self.fp - self.neg

    def path(self, best: bool) -> tuple[Array, Array]:
        """False and true positive rate along the ROC curve; inside a cell straight, or by the best or worst order."""
        tp, fp = self.tp / self.num_pos, self.fp / self.num_neg
        if not self.exact:
            over, up = fp - self.neg / self.num_neg, tp - self.pos / self.num_pos
            inner = (over, tp) if best else (fp, up)
            fp, tp = (np.stack(pair, 1).reshape(-1) for pair in zip(inner, (fp, tp), strict=True))
        return np.concatenate([[0.0], fp]), np.concatenate([[0.0], tp])

    def average_precision(self) -> tuple[float, float]:
        """Ends of the sum of precision over positives, each at the end of its tie, as a share of the positives.

        At worst a cell's negatives come before its positives, all apart; at best its positives before them, as one tie.
        """
        after = self.tp + self.fp
        if self.exact:
            value = float((self.pos * self.tp / after).sum() / self.num_pos)
            return value, value
        best = (self.pos * self.tp / (after - self.neg).clip(1)).sum()
        inverse = torch.digamma(torch.from_numpy(after + 1)) - torch.digamma(torch.from_numpy(after - self.pos + 1))
        worst = np.where(self.pos == 1, self.tp / after, self.pos - self.fp * inverse.numpy())
        worst = np.where(self.pos > 0, worst, 0.0).clip(0).sum()
        return float(min(worst, best) / self.num_pos), float(best / self.num_pos)


def area(fpr: Array, tpr: Array, max_fpr: float | None = None) -> float:
    """Under the ROC curve; of its left part 0.5 for chance and 1 at best (McClish 1989)."""
    if max_fpr is None or max_fpr == 1:
        return float(np.trapezoid(tpr, fpr))
    stop = int(np.searchsorted(fpr, max_fpr, side="right"))
    last = np.interp(max_fpr, fpr[stop - 1 : stop + 1], tpr[stop - 1 : stop + 1])
    part = np.trapezoid(np.append(tpr[:stop], last), np.append(fpr[:stop], max_fpr))
    least = max_fpr**2 / 2
    return float((1 + (part - least) / (max_fpr - least)) / 2)
