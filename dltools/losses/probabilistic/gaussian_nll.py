"""Gaussian negative log-likelihood: a regression that also says how sure it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.errors import DltoolsError, ShapeError
from dltools.functional.widen import widen
from dltools.losses.base import LossCfg
from dltools.losses.element import read_elements
from dltools.losses.view import View, follow
from dltools.losses.weighing import MeanLoss


class GaussianNLLLossCfg(LossCfg["GaussianNLLLoss"]):
    eps: Positive = 1e-6
    """The least variance; smaller ones count as this, and their slope is that at this one."""
    full: bool = False
    """Also add the constant, half the logarithm of two pi."""


class GaussianNLLLoss(MeanLoss[GaussianNLLLossCfg]):
    r"""Gaussian negative log-likelihood, :math:`\frac12 (\log \sigma^2 + (\mu - y)^2 / \sigma^2)`, mean over elements.

    Equals ``torch.nn.functional.gaussian_nll_loss``. ``pred`` is a mapping with ``mean`` and ``var``.

    Shapes: mean and target of one shape (N, ...), floats; var the same, or 1 for a size. A mask or weight map has the
    shape of the target, or lacks dimension 1. Raises ShapeError, and DltoolsError for a negative variance if
    ``check`` is set.

    >>> loss = GaussianNLLLoss()
    >>> loss({"mean": torch.zeros(2), "var": torch.ones(2)}, torch.tensor([0.0, 2.0]))
    tensor(1.)

    Source: Nix and Weigend 1994, Estimating the mean and variance of the target probability distribution.
    """

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        mean, var = (follow(view.pred, name, "pred") for name in ("mean", "var"))
        mean, target, mask, weight_map = View(mean, view.target, view.mask, view.weight_map).tensors()
        pair = view.once("gaussian", lambda: read_elements(mean, target, mask, weight_map))
        var = widen(_like(pair.pred, var))
        var = var if pair.valid is None else torch.where(pair.valid, var, 1)
        if self.cfg.check and bool((var < 0).any()):
            raise DltoolsError("pred.var is negative", expected="variances, 0 or more", hint="softplus")
        var = var - var.detach() + var.detach().clamp_min(self.cfg.eps)
        loss = (var.log() + (pair.pred - pair.target) ** 2 / var) / 2
        return pair.weigh(loss + math.log(2 * math.pi) / 2 if self.cfg.full else loss)


def _like(mean: Tensor, var: Tensor) -> Tensor:
    shape = tuple(mean.shape)
    if var.ndim != mean.ndim or any(have not in (1, want) for have, want in zip(var.shape, shape, strict=True)):
        given = f"pred.var {tuple(var.shape)}, pred.mean {shape}"
        raise ShapeError(given, expected=f"var {shape}, or 1 for a size", hint="var.unsqueeze(-1)")
    return var.expand(shape)
