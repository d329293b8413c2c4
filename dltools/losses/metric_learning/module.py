"""Any module as a loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from dltools.cfgutils import Config
from dltools.errors import ShapeError
from dltools.functional.widen import widen
from dltools.losses.base import LossCfg, T_co
from dltools.losses.distutils import Sync
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss, read_weights


class _ModuleCfg(LossCfg[T_co]):
    """Of what is made by hand, and stands in no file."""

    def product(self) -> Callable[..., Any]:
        return ModuleLoss


class ModuleLoss(MeanLoss["_ModuleCfg[Any]"]):
    """What ``from_module`` gives."""

    config: ClassVar[type[Config[Any]]] = _ModuleCfg
    module: nn.Module

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        found = widen(self.module(view.pred, view.target))
        _, _, mask, weight_map = View(found, found, view.mask, view.weight_map).tensors()
        if found.ndim:
            read = partial(read_weights, found, found.shape, mask, weight_map, dtype=found.dtype)
            return view.once(("module", self), read).weigh(found)
        if mask is not None or weight_map is not None:
            given = "a mask or weight map, for a module that gives one value"
            raise ShapeError(given, expected="a module that gives one for each element", hint="reduction='none' there")
        samples, _ = view.seen()
        return found.masked_fill(samples == 0, 0) * samples, samples


def from_module(module: nn.Module, *, sync: Sync = "none") -> ModuleLoss:
    """A module that takes ``pred`` and ``target`` as a loss: logged, and merged over ranks.

    A module that gives a value for each element has their mean, and ``mask`` and ``weight_map`` in their shape. One
    value is taken for the mean over samples; what compares samples is then compared on each rank alone.

    >>> import torch
    >>> loss = from_module(nn.L1Loss())
    >>> loss(torch.zeros(2), torch.ones(2))
    tensor(1.)
    """
    loss = ModuleLoss(_ModuleCfg[Any](sync=sync))
    loss.module = module
    return loss
