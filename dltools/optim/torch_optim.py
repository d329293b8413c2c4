"""torch's optimizers, with torch's own arguments and defaults."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Lt

from dltools.cfgutils.annotations import NonNegative, Positive
from dltools.errors import ConfigError
from dltools.optim.base import OptimCfg

Beta = Annotated[float, Ge(0), Lt(1)]
"""A decay rate of a running mean."""


class AdamWCfg(OptimCfg[torch.optim.AdamW]):
    """Adam with decoupled weight decay; no decay for biases, norms and scales.

    >>> optimizer = AdamWCfg(lr=3e-4).build(torch.nn.Linear(2, 2))
    >>> [(group["name"], group["weight_decay"]) for group in optimizer.param_groups]
    [('decay', 0.01), ('no_decay', 0.0)]

    Loshchilov and Hutter 2017, arXiv:1711.05101.
    """

    lr: Positive = 1e-3
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay rates of the running means of the gradient and of its square."""
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 1e-2
    amsgrad: bool = False
    maximize: bool = False
    capturable: bool = False
    differentiable: bool = False


class SGDCfg(OptimCfg[torch.optim.SGD]):
    """Stochastic gradient descent with momentum; no decay for biases, norms and scales.

    >>> SGDCfg(lr=0.1, momentum=0.9, nesterov=True).build(torch.nn.Linear(2, 2)).defaults["momentum"]
    0.9

    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    lr: Positive = 1e-3
    momentum: NonNegative = 0.0
    dampening: float = 0.0
    weight_decay: NonNegative = 0.0
    nesterov: bool = False
    maximize: bool = False
    differentiable: bool = False

    def __post_init__(self) -> None:
        if self.nesterov and (self.momentum == 0.0 or self.dampening != 0.0):
            raise ConfigError("nesterov needs a momentum and no dampening", hint="momentum=0.9, dampening=0")
