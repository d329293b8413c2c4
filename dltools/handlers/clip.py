"""Clipping: a bound on the size of the gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, TypeVar

from annotated_types import Gt
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.handlers.gradients import Gradients

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="ClipCfg[Any]")


class ClipCfg(Config[T_co]):
    """The family of ways to bound the gradient."""

    def build(self) -> T_co:
        """The clip."""
        return self.product()(self)


class Clip(Component[CfgT], ABC):
    """Called once per update, after all ranks' gradients were added and before they are applied."""

    norm_type: float = 2.0
    """Order of the norm that the gradients come with, and that is logged."""

    @abstractmethod
    def __call__(self, gradients: Gradients) -> Tensor:
        """The factor, 0-d, by which the handler multiplies all gradients.

        One that treats tensors or elements apart first calls ``gradients.settle()``, changes ``gradients.tensors`` in
        place, and gives the share that it left of the norm.
        """


class ClipNormCfg(ClipCfg["ClipNorm"]):
    """Bound the norm of all gradients together."""

    max_norm: Positive
    """Longer gradients are shortened to it."""
    norm_type: Annotated[float, Gt(0)] = 2.0
    """Order p of the norm; ``.inf`` for the largest element."""


class ClipNorm(Clip[ClipNormCfg]):
    """Multiply all gradients by :math:`\\min(1, max\\_norm / norm)`; nothing is added to the norm.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> ClipNorm(max_norm=1.0)(Gradients([weight]))
    tensor(0.2000)

    Pascanu et al. 2012, arXiv:1211.5063.
    """

    def setup(self) -> None:
        self.norm_type: float = self.cfg.norm_type

    def __call__(self, gradients: Gradients) -> Tensor:
        return gradients.norm(self.norm_type).reciprocal().mul_(self.cfg.max_norm).clamp_(max=1.0)
