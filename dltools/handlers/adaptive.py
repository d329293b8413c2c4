"""Clipping whose bound follows the gradients seen so far; what it remembers stays on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegativeInt, Positive, PositiveInt
from dltools.errors import ConfigError
from dltools.handlers.clip import Clip, ClipCfg, left
from dltools.handlers.foreach import KERNELS
from dltools.handlers.gradients import Gradients
from dltools.optim.torch_optim import Beta

CfgT = TypeVar("CfgT", bound=ClipCfg[Any])


class Remembering(Clip[CfgT]):
    """A clip with a memory: one vector, which skipped updates leave as it is."""

    def setup(self) -> None:
        self._memory: Tensor | None = None

    def memory(self, like: Tensor, size: int) -> Tensor:
        """What is remembered, on the device of ``like``; zeros at first, and for tensors that are new."""
        old = torch.zeros(0, dtype=torch.float64) if self._memory is None else self._memory
        old = old.to(like.device)
        return old if len(old) == size else torch.cat([old, old.new_zeros(size - len(old))])

    def remember(self, old: Tensor, new: Tensor, norm: Tensor, skipped: Tensor | None) -> None:
        """Take over the new memory, unless the update is skipped or its norm is no number."""
        is_made = norm.isfinite() if skipped is None else norm.isfinite() & (skipped <= 0)
        self._memory = torch.where(is_made, new, old)

    def state_dict(self) -> dict[str, Any]:
        """The memory under the name of the clip; None before the first update."""
        return {self.cfg.tag: self._memory}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        if self.cfg.tag not in state:
            raise ConfigError(f"the state is that of {', '.join(state)}", expected=f"one of {self.cfg.tag}")
        memory = state[self.cfg.tag]
        self._memory = None if memory is None else memory.clone()


class ZClipCfg(ClipCfg["ZClip"]):
    """Bound gradients that are unusually large among those before them."""

    z: Positive = 2.5
    """Standard deviations above the mean from which a norm is too large."""
    alpha: Beta = 0.97
    """Share of the old mean and variance that the new ones keep."""
    warmup_steps: PositiveInt = 25
    """Updates from which mean and variance are taken at first; nothing but ``max_norm`` clips them."""
    max_norm: Positive | None = None
    """A bound that always holds."""


class ZClip(Remembering[ZClipCfg]):
    r"""Shorten a norm g with :math:`z' = (g - m) / s > z` to :math:`g^* = m + z^2 s / z'`.

    Then m is the moving mean of :math:`g^*` and :math:`s^2` that of :math:`(g^* - m)^2`; s is at least
    :math:`10^{-6} m`. After the warm-up they begin as mean and population variance.

    >>> clip = ZClip(warmup_steps=2)
    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> for norm in (1.0, 3.0, 12.0):
    ...     weight.grad = torch.tensor([norm])
    ...     share = clip(Gradients([weight]))
    >>> round(12 * share.item(), 4)  # m = 2, s = 1, z' = 10
    2.625

    Kumar et al. 2025, arXiv:2504.02507.
    """

    def __call__(self, gradients: Gradients) -> Tensor:
        cfg, norm = self.cfg, gradients.norm()
        g = norm.double()
        old = self.memory(g, 3)
        n, m, var = old.unbind()
        warming, s = n < cfg.warmup_steps, torch.maximum(var.sqrt(), 1e-6 * m)
        large = ~warming & (s > 0) & (g - m > cfg.z * s)
        short = torch.where(large, m + cfg.z**2 * s * s / (g - m), g)
        change = short - m
        share = torch.where(warming, 1 / (n + 1), 1 - cfg.alpha)
        mean = m + share * change
        first = var + share * (change * (g - mean) - var)
        later = var + share * ((short - mean).square() - var)
        new = torch.stack([n + 1, mean, torch.where(warming, first, later)])
        self.remember(old, new, g, gradients.skipped)
        bound = short if cfg.max_norm is None else short.clamp_max(cfg.max_norm)
        return gradients.shrink(left(g, bound).clamp_max(1.0).to(norm.dtype))


class AdaGCCfg(ClipCfg["AdaGC"]):
    """Bound the gradient of each tensor by what it used to be."""

    beta: Beta = 0.98
    """Share of the old mean of a tensor's norm that the new one keeps."""
    rel: Positive = 1.05
    """Largest norm, in means of the norms before."""
    abs: Positive = 1.0
    """Bound on the norm of all tensors together during the warm-up."""
    warmup_steps: NonNegativeInt = 100


class AdaGC(Remembering[AdaGCCfg]):
    r"""Per tensor :math:`\min(1, r \gamma / \|g\|)`, with :math:`\gamma` the moving mean of its clipped norms.

    During the warm-up all are clipped together, and :math:`\gamma` is the smallest norm of each so far.

    >>> clip = AdaGC(warmup_steps=1, rel=2.0, abs=10.0)
    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> for norm in (1.0, 8.0):
    ...     weight.grad = torch.tensor([norm])
    ...     share = clip(Gradients([weight]))
    >>> weight.grad.item(), share.item()
    (2.0, 0.25)

    Wang et al. 2025, arXiv:2502.11034.
    """

    def __call__(self, gradients: Gradients) -> Tensor:
        cfg, total = self.cfg, gradients.norm()
        gradients.settle()
        if not gradients.tensors:
            return torch.ones_like(total)
        norms = gradients.each_norm().double()
        old = self.memory(norms, 1 + gradients.size)  # the number of updates, then each mean; 0: none yet
        there = torch.tensor(gradients.positions, device=norms.device) + 1
        n, gamma = old[0], old[there]
        gamma = torch.where(gamma > 0, gamma, torch.inf)
        together, warming = (cfg.abs / total).clamp(max=1.0).double(), n < cfg.warmup_steps
        apart = (cfg.rel * gamma / norms).clamp(max=1.0)
        factors = torch.where(warming, together, apart).nan_to_num(1.0)
        clipped = factors * norms
        mean = torch.where(gamma.isinf(), clipped, torch.lerp(clipped, gamma, cfg.beta))
        new = old.index_copy(0, there, torch.where(warming, torch.minimum(gamma, clipped), mean))
        new[0] += 1
        self.remember(old, new, total, gradients.skipped)
        KERNELS._foreach_mul_(gradients.tensors, list(factors.to(gradients.dtype).unbind()))
        return left(total, torch.linalg.vector_norm(clipped).to(total.dtype))
