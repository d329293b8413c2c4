"""torch's optimizers, with torch's own arguments and defaults."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt

from dltools.cfgutils.annotations import NonNegative, Positive, PositiveInt, Unit
from dltools.errors import ConfigError
from dltools.optim.base import OptimCfg, T_co

Beta = Annotated[float, Ge(0), Lt(1)]
"""A decay rate of a running mean."""


class AdamLikeCfg(OptimCfg[T_co]):
    """What Adam and its kin share."""

    lr: Positive = 1e-3
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay rates of the running means of the gradient and of its square."""
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    maximize: bool = False
    capturable: bool = False
    differentiable: bool = False


class AdamWCfg(AdamLikeCfg[torch.optim.AdamW]):
    """Adam with decoupled weight decay; no decay for biases, norms and scales.

    >>> optimizer = AdamWCfg(lr=3e-4).build(torch.nn.Linear(2, 2))
    >>> [(group["name"], group["weight_decay"]) for group in optimizer.param_groups]
    [('decay', 0.01), ('no_decay', 0.0)]

    Loshchilov and Hutter 2017, arXiv:1711.05101.
    """

    weight_decay: NonNegative = 1e-2
    amsgrad: bool = False


class AdamCfg(AdamLikeCfg[torch.optim.Adam]):
    """Adaptive moments; weight decay goes through the gradient.

    >>> AdamCfg(betas=(0.9, 0.95)).build(torch.nn.Linear(2, 2)).defaults["betas"]
    (0.9, 0.95)

    Kingma and Ba 2014, arXiv:1412.6980.
    """

    amsgrad: bool = False
    decoupled_weight_decay: bool = False


class NAdamCfg(AdamLikeCfg[torch.optim.NAdam]):
    """Adam with Nesterov momentum.

    >>> NAdamCfg().build(torch.nn.Linear(2, 2)).defaults["lr"]
    0.002

    Dozat 2016, "Incorporating Nesterov momentum into Adam".
    """

    lr: Positive = 2e-3
    momentum_decay: NonNegative = 4e-3
    decoupled_weight_decay: bool = False


class RAdamCfg(AdamLikeCfg[torch.optim.RAdam]):
    """Adam whose first steps are rectified.

    >>> RAdamCfg().build(torch.nn.Linear(2, 2)).defaults["betas"]
    (0.9, 0.999)

    Liu et al. 2019, arXiv:1908.03265.
    """

    decoupled_weight_decay: bool = False


class AdamaxCfg(AdamLikeCfg[torch.optim.Adamax]):
    """Adam with the largest gradient in place of the mean square.

    >>> AdamaxCfg().build(torch.nn.Linear(2, 2)).defaults["lr"]
    0.002

    Kingma and Ba 2014, arXiv:1412.6980.
    """

    lr: Positive = 2e-3


class SparseAdamCfg(OptimCfg[torch.optim.SparseAdam]):
    """Adam for sparse gradients: only moments that have a gradient move.

    >>> table = torch.nn.Embedding(9, 2, sparse=True)
    >>> SparseAdamCfg().build(table).defaults["betas"]
    (0.9, 0.999)
    """

    lr: Positive = 1e-3
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: Positive = 1e-8
    maximize: bool = False


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


class MuonCfg(OptimCfg[torch.optim.Muon]):
    """Momentum made orthogonal by Newton-Schulz iterations; matrices only.

    >>> MuonCfg(lr=0.02).build(torch.nn.Linear(2, 2, bias=False)).defaults["momentum"]
    0.95

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    """

    hint: ClassVar[str] = "MixedOptimCfg gives the matrices to Muon and the rest to another optimizer"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.1
    momentum: NonNegative = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315)
    """Of the polynomial that is iterated."""
    eps: NonNegative = 1e-7
    ns_steps: PositiveInt = 5
    """Iterations."""
    adjust_lr_fn: Literal["original", "match_rms_adamw"] | None = None
    """How the learning rate follows the shape of a matrix."""


class AdafactorCfg(OptimCfg[torch.optim.Adafactor]):
    """Second moments by rows and columns, in little memory.

    >>> AdafactorCfg().build(torch.nn.Linear(2, 2)).defaults["beta2_decay"]
    -0.8

    Shazeer and Stern 2018, arXiv:1804.04235.
    """

    lr: Positive = 1e-2
    beta2_decay: Annotated[float, Le(0)] = -0.8
    eps: tuple[NonNegative | None, NonNegative] = (None, 1e-3)
    d: Annotated[float, Ge(1)] = 1.0
    """Where an update is clipped."""
    weight_decay: NonNegative = 0.0
    maximize: bool = False


class AdadeltaCfg(OptimCfg[torch.optim.Adadelta]):
    """Steps in units of the parameters.

    >>> AdadeltaCfg().build(torch.nn.Linear(2, 2)).defaults["rho"]
    0.9

    Zeiler 2012, arXiv:1212.5701.
    """

    lr: Positive = 1.0
    rho: Unit = 0.9
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0
    capturable: bool = False
    maximize: bool = False
    differentiable: bool = False


class AdagradCfg(OptimCfg[torch.optim.Adagrad]):
    """Steps over the root of the sum of squares.

    >>> AdagradCfg().build(torch.nn.Linear(2, 2)).defaults["lr"]
    0.01

    Duchi et al. 2011, "Adaptive subgradient methods".
    """

    lr: Positive = 1e-2
    lr_decay: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    initial_accumulator_value: NonNegative = 0.0
    eps: NonNegative = 1e-10
    maximize: bool = False
    differentiable: bool = False


class RMSpropCfg(OptimCfg[torch.optim.RMSprop]):
    """Steps over the root of the mean square.

    >>> RMSpropCfg().build(torch.nn.Linear(2, 2)).defaults["alpha"]
    0.99

    Hinton 2012, "Neural networks for machine learning", lecture 6.
    """

    lr: Positive = 1e-2
    alpha: NonNegative = 0.99
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    momentum: NonNegative = 0.0
    centered: bool = False
    capturable: bool = False
    maximize: bool = False
    differentiable: bool = False


class RpropCfg(OptimCfg[torch.optim.Rprop]):
    """Steps by the sign of the gradient, for full batches.

    >>> RpropCfg().build(torch.nn.Linear(2, 2)).defaults["etas"]
    (0.5, 1.2)

    Riedmiller and Braun 1993, "RPROP".
    """

    lr: Positive = 1e-2
    etas: tuple[Annotated[float, Gt(0), Lt(1)], Annotated[float, Gt(1)]] = (0.5, 1.2)
    """Factors on a step when the sign turns, and when it stays."""
    step_sizes: tuple[NonNegative, NonNegative] = (1e-6, 50.0)
    """The smallest and the largest step."""
    capturable: bool = False
    maximize: bool = False
    differentiable: bool = False


class ASGDCfg(OptimCfg[torch.optim.ASGD]):
    """Averaged stochastic gradient descent.

    >>> ASGDCfg().build(torch.nn.Linear(2, 2)).defaults["alpha"]
    0.75

    Polyak and Juditsky 1992, "Acceleration by averaging".
    """

    lr: Positive = 1e-2
    lambd: NonNegative = 1e-4
    """Decay."""
    alpha: NonNegative = 0.75
    """Power of the learning rate's fall."""
    t0: NonNegative = 1e6
    """Update at which averaging begins."""
    weight_decay: NonNegative = 0.0
    maximize: bool = False
    differentiable: bool = False
    capturable: bool = False


class LBFGSCfg(OptimCfg[torch.optim.LBFGS]):
    """Quasi-Newton steps, which call a closure again and again: one group, and no StepHandler.

    >>> LBFGSCfg().build(list(torch.nn.Linear(2, 2).parameters())).defaults["max_iter"]
    20

    Liu and Nocedal 1989, "On the limited memory BFGS method for large scale optimization".
    """

    lr: Positive = 1.0
    max_iter: PositiveInt = 20
    max_eval: PositiveInt | None = None
    """Evaluations of the closure per step; None: 1.25 max_iter."""
    tolerance_grad: NonNegative = 1e-7
    tolerance_change: NonNegative = 1e-9
    history_size: PositiveInt = 100
    line_search_fn: Literal["strong_wolfe"] | None = None
