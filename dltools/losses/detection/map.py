"""MAP loss: average precision of a ranking, made smooth."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.dist import world
from dltools.errors import DltoolsError, ShapeError
from dltools.functional.sums import ratio
from dltools.functional.targets import describe
from dltools.functional.widen import widen
from dltools.losses.base import Loss, LossCfg
from dltools.losses.distutils import Sums
from dltools.losses.embedding import Rows
from dltools.losses.view import View
from dltools.losses.weighing import Pair, read_weights


class MAPLossCfg(LossCfg["MAPLoss"]):
    tau: Positive = 0.01
    """Difference of scores at which an order is taken to be sure; smaller is nearer to the true precision."""


class MAPLoss(Loss[MAPLossCfg]):
    r"""One minus mean average precision, with smooth ranks; mean over classes that have a positive.

    :math:`AP = \frac{1}{|P|} \sum_{i \in P} \frac{1 + \sum_{j \in P, j \ne i} s_{ji}}{1 + \sum_{j \ne i} s_{ji}}`,
    :math:`s_{ji} = \sigma((z_j - z_i) / \tau)`, over all samples of the batch. Weights are those of
    samples in both sums and in the mean, as ``sample_weight`` of scikit-learn. ``reduction="none"`` gives a loss for
    each class, (C,), 0 where it has no positive.

    Time and memory go with the square of the number of samples: three numbers for each pair and class. With ``sync``
    the ranking is that of all ranks: a gather of the scores precedes the sum.

    Shapes: pred (N,) or (N, C), scores; target the same, 0 or 1; other values are left out and counted. Mask and
    weight_map: as target, or (N,). Raises ShapeError.

    >>> import torch
    >>> MAPLoss()(torch.tensor([0.9, 0.8, 0.1]), torch.tensor([0, 1, 0]))
    tensor(0.5000)

    Source: Brown et al. 2020, arXiv:2007.12163.
    """

    def sums(self, view: View) -> Sums:
        pair = view.once("ranking", lambda: _read(*view.tensors()))
        if self.cfg.check and int(pair.bad):
            raise DltoolsError(f"{int(pair.bad)} targets are neither 0 nor 1", expected="relevance 0 or 1")
        weights = (pair.target >= 0).to(pair.dtype) if pair.weights is None else pair.weights
        rows, shares = Rows(pair.pred.reshape(-1, 1), pair.target.flatten(), weights.flatten()), 1
        if self.cfg.sync != "none":
            rows, shares = rows.of_all(), world()
        num_classes = pair.pred.shape[1]
        scores, relevant, weights = (x.reshape(-1, num_classes).t() for x in rows)
        with torch.autocast(scores.device.type, enabled=False):
            miss, weight = missed(scores, relevant == 1, weights, self.cfg.tau)
        return {"loss": miss / shares, "weight": weight / shares}

    def value(self, sums: Sums) -> Tensor:
        each = ratio(sums["loss"], sums["weight"])
        if self.cfg.reduction == "none":
            return each
        return ratio(each.sum(), (sums["weight"] > 0).sum()) if self.cfg.reduction == "mean" else each.sum()


def missed(scores: Tensor, relevant: Tensor, weights: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Weights of the positives times what their precision lacks, and those weights, by class: (C, N) -> (C,)."""
    above = (scores.unsqueeze(1) - scores.unsqueeze(2)).div_(tau).sigmoid_()  # how surely j stands above i: (C, i, j)
    each = torch.stack([weights * relevant, weights], -1)
    found, seen = (above @ each + each / 2).unbind(-1)  # of itself a half is there already
    return (each[..., 0] * (1 - ratio(found, seen))).double().sum(1), each[..., 0].double().sum(1)


def _read(pred: Tensor, target: Tensor, mask: Tensor | None, weight_map: Tensor | None) -> Pair[Tensor]:
    if pred.ndim not in (1, 2) or pred.shape != target.shape or not pred.is_floating_point():
        raise ShapeError(describe(pred, target), expected="scores (N,) or (N, C) of floats, target alike, 0 or 1")
    x, legal = widen(pred), (target == 0) | (target == 1)
    found = read_weights(pred, pred.shape, mask, weight_map, dtype=x.dtype, mask_dim=-1, legal=legal)
    valid = legal if found.valid is None else found.valid
    columns = pred.shape[1] if pred.ndim == 2 else 1
    x, target = torch.where(valid, x, 0), torch.where(valid, target, -1).long()
    return found.of(x.reshape(len(x), columns), target.reshape(len(x), columns))


MAP = MAPLoss
MAPCfg = MAPLossCfg
