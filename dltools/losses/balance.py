"""Weights that the terms of a Combine find by themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, TypeVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from dltools.cfgutils.config import Config
from dltools.losses.buffers import buffer_on
from dltools.losses.distutils import Sync, own_share

T_co = TypeVar("T_co", covariant=True)


class BalanceCfg(Config[T_co]):
    """What weighs the terms of a loss, beside the weights that are given."""

    def build(self, num_terms: int) -> T_co:
        """Make it for so many terms."""
        return self.product()(self, num_terms)


class Balance(nn.Module, ABC):
    """Weights of terms, of which some may be learned; parameters and averages are in the ``state_dict`` of Combine."""

    @abstractmethod
    def weigh(self, losses: Tensor, weights: Tensor, sync: Sync) -> tuple[Tensor, Tensor]:
        """From losses and given weights (K,): the weights that count, and what is added to the weighted sum."""


class UncertaintyCfg(BalanceCfg["Uncertainty"]):
    """No options of its own."""


class Uncertainty(Balance):
    r"""Weights by learned uncertainty, :math:`\sum_k e^{-s_k} w_k L_k + s_k`, with :math:`s = 0` at first.

    ``log_var`` (K,) are parameters: give ``loss.parameters()`` to the optimizer, without weight decay. Losses are
    positive: at its best :math:`s_k = \log (w_k L_k)`. A term of exactly 0, such as one of which nothing is valid,
    leaves its parameter alone.

    >>> balance = UncertaintyCfg().build(2)
    >>> balance.weigh(torch.tensor([3.0, 0.5]), torch.ones(2), "none")[0].detach()
    tensor([1., 1.])

    Source: Kendall et al. 2017, arXiv:1705.07115, for losses of any kind.
    """

    def __init__(self, cfg: UncertaintyCfg, num_terms: int) -> None:
        super().__init__()
        self.cfg: UncertaintyCfg = cfg
        self.log_var: nn.Parameter = nn.Parameter(torch.zeros(num_terms))

    def weigh(self, losses: Tensor, weights: Tensor, sync: Sync) -> tuple[Tensor, Tensor]:
        log_var = own_share(self.log_var, sync)
        return weights * (-log_var).exp(), torch.where(losses * weights == 0, 0, log_var).sum()


class EmaNormCfg(BalanceCfg["EmaNorm"]):
    decay: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Of the average; 0 is the loss itself."""


class EmaNorm(Balance):
    r"""Each loss by its own average, :math:`\sum_k w_k L_k / \overline{|L_k|}`, so that all have a like size.

    The exponential average, without bias at the start, includes the current loss, has no gradient, goes on in
    training mode only, and leaves out what is 0 or not finite.

    >>> balance = EmaNormCfg(decay=0.5).build(2)
    >>> for losses in ([4.0, 0.5], [1.0, 0.5]):
    ...     print(balance.weigh(torch.tensor(losses), torch.ones(2), "none")[0])
    tensor([0.2500, 2.0000], dtype=torch.float64)
    tensor([0.5000, 2.0000], dtype=torch.float64)
    """

    average: Tensor
    mass: Tensor

    def __init__(self, cfg: EmaNormCfg, num_terms: int) -> None:
        super().__init__()
        self.cfg: EmaNormCfg = cfg
        self.register_buffer("average", torch.zeros(num_terms, dtype=torch.float64))
        self.register_buffer("mass", torch.zeros(num_terms, dtype=torch.float64))

    def weigh(self, losses: Tensor, weights: Tensor, sync: Sync) -> tuple[Tensor, Tensor]:
        del sync  # the losses are those of all ranks already
        average, mass = (buffer_on(self, name, losses.device) for name in ("average", "mass"))
        if self.training:
            size = losses.detach().abs().to(average.dtype)
            counts = size.isfinite() & (size > 0)
            part = counts.double() * (1 - self.cfg.decay)
            average.lerp_(torch.where(counts, size, 0), part)
            mass.lerp_(torch.ones_like(part), part)
        return weights / torch.where(mass > 0, average / mass, 1), torch.zeros_like(losses[0])
