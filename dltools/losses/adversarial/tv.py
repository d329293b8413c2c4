"""Total variation: how much neighbouring pixels differ."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.errors import ShapeError
from dltools.functional.sums import add_up, ratio
from dltools.losses.base import Loss, LossCfg
from dltools.losses.distutils import Sums
from dltools.losses.element import read_elements
from dltools.losses.view import View
from dltools.losses.weighing import Pair


class TVLossCfg(LossCfg["TVLoss"]):
    """What all losses have."""


class TVLoss(Loss[TVLossCfg]):
    r"""Anisotropic total variation of the prediction: :math:`|x_{i+1} - x_i|`, mean over pairs, sum over dimensions.

    A pair counts if both pixels do, by the mean of their weights. ``sum`` gives the plain sum, ``none`` the value of
    each sample. The target is not looked at.

    Shapes: pred (N, C, *S), floats; mask and weight_map (N, *S) or (N, C, *S). Raises ShapeError.

    >>> x = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])
    >>> TVLoss()(x, None), TVLoss(reduction="sum")(x, None)
    (tensor(3.), tensor(6.))

    Source: Rudin, Osher and Fatemi 1992, Nonlinear Total Variation Based Noise Removal Algorithms.
    """

    def sums(self, view: View) -> Sums:
        pair = view.once("image", lambda: _read(view))
        weight = pair.weigh(torch.ones_like(pair.pred))[0]
        losses, weights = [], []
        for dim in range(2, pair.pred.ndim):
            one, two = _neighbours(weight, dim)
            both = torch.where((one != 0) & (two != 0), (one + two) / 2, 0)
            here, there = _neighbours(pair.pred, dim)
            losses.append(add_up((here - there).abs() * both).sum(1))
            weights.append(add_up(both).sum(1))
        loss, total = torch.stack(losses), torch.stack(weights)
        if self.cfg.reduction == "none":
            return {"loss": ratio(loss, total).sum(0)}
        return {"loss": loss.sum(1), "weight": total.sum(1)}

    def value(self, sums: Sums) -> Tensor:
        if self.cfg.reduction == "none":
            return sums["loss"]
        return (ratio(sums["loss"], sums["weight"]) if self.cfg.reduction == "mean" else sums["loss"]).sum()


def _neighbours(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    x = x.movedim(dim, -1)
    return x[..., :-1], x[..., 1:]


def _read(view: View) -> Pair[Tensor]:
    pred, _, mask, weight_map = View(view.pred, view.pred, view.mask, view.weight_map).tensors()
    if pred.ndim < 3:
        raise ShapeError(f"pred {tuple(pred.shape)}", expected="(N, C, *S) with at least one size")
    return read_elements(pred, pred, mask, weight_map)
