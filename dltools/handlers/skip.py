"""Skipping: updates that would do harm are not made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import torch
from annotated_types import Ge
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative, Positive, PositiveInt
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="SkipCfg[Any]")


class SkipCfg(Config[T_co]):
    """The family of reasons to skip an update."""

    def build(self) -> T_co:
        """The gate."""
        return self.product()(self)


class Skip(Component[CfgT], ABC):
    """Called once per update, with what all ranks agree on; an update that any gate skips changes nothing."""

    reads_loss: bool = False
    """Whether it needs the loss, which ranks then average."""

    @abstractmethod
    def __call__(self, norm: Tensor, loss: Tensor | None) -> Tensor:
        """1 to skip, 0 to go on: a new 0-d float tensor, never read on the host.

        ``norm`` is that of the mean gradient; ``loss`` is the last one of the window, or None, as in a flush.
        """


class SkipNonFiniteCfg(SkipCfg["SkipNonFinite"]):
    pass


class SkipNonFinite(Skip[SkipNonFiniteCfg]):
    """Skip updates whose gradient norm is infinite or NaN.

    >>> import torch
    >>> skip = SkipNonFinite()
    >>> [skip(torch.tensor(norm), None).item() for norm in (1.0, float("inf"), float("nan"))]
    [0.0, 1.0, 1.0]
    """

    def __call__(self, norm: Tensor, loss: Tensor | None) -> Tensor:
        return non_finite(norm)


def non_finite(x: Tensor) -> Tensor:
    """1 where ``x`` is infinite or NaN, else 0, in two small kernels."""
    return x.sub(x).ne_(0)


class SkipSpikeCfg(SkipCfg["SkipSpike"]):
    """Skip updates whose gradient norm or loss is far above those before."""

    window: PositiveInt = 128
    """Accepted values that are remembered."""
    sigma: Positive = 6.0
    """Standard deviations above their mean from which a value is a spike."""
    of: Literal["grad_norm", "loss"] = "grad_norm"
    min_history: Annotated[int, Ge(2)] = 64
    """Accepted values that are needed before anything is skipped."""
    floor: NonNegative = 0.05
    """Least standard deviation that is reckoned with, as a share of the mean."""
    max_in_row: PositiveInt = 8
    """Skips in a row; then the next update is made, and the history begins again."""

    def __post_init__(self) -> None:
        if self.min_history > self.window:
            raise ConfigError(
                f"min_history is {self.min_history}, window {self.window}", expected="min_history <= window"
            )


class SkipSpike(Skip[SkipSpikeCfg]):
    r"""Skip where :math:`x > mean + \sigma \max(std, floor |mean|)` of the last accepted values, or x is no number.

    >>> import torch
    >>> skip = SkipSpike(window=4, min_history=2)
    >>> [skip(torch.tensor(norm), None).item() for norm in (1.0, 1.2, 1.1, 9.0, 1.0)]
    [0.0, 0.0, 0.0, 1.0, 0.0]

    As in OLMo-core (the unbiased standard deviation), with a floor and an end to skips in a row.
    """

    def setup(self) -> None:
        self.reads_loss: bool = self.cfg.of == "loss"
        self._memory: Tensor | None = None

    def __call__(self, norm: Tensor, loss: Tensor | None) -> Tensor:
        value = loss if self.reads_loss else norm
        if value is None:
            return torch.zeros_like(norm)
        cfg, x = self.cfg, value.detach().double()
        old = torch.zeros(2 + cfg.window, dtype=torch.float64) if self._memory is None else self._memory
        old = old.to(x.device)
        num, in_row, kept = old[0], old[1], old[2:]
        size = num.clamp(max=cfg.window)
        there = torch.arange(cfg.window, device=x.device) < size
        mean = torch.where(there, kept, 0).sum() / size
        std = (torch.where(there, kept - mean, 0).square().sum() / (size - 1)).sqrt()
        is_spike = (size >= cfg.min_history) & (x > mean + cfg.sigma * torch.maximum(std, cfg.floor * mean.abs()))
        is_number, is_forced = x.isfinite() & norm.isfinite(), in_row >= cfg.max_in_row
        accepted = is_number & (~is_spike | is_forced)
        num = torch.where(is_forced, 0, num)
        place = (num % cfg.window).long().unsqueeze(0)
        taken = torch.cat([(num + 1).view(1), torch.zeros_like(x).view(1), kept.index_copy(0, place, x.view(1))])
        counted = torch.cat([old[:1], (in_row + is_spike).view(1), kept])
        self._memory = torch.where(accepted, taken, torch.where(is_number, counted, old))
        return (~accepted).to(norm.dtype)

    def state_dict(self) -> dict[str, Any]:
        """By what is looked at: number of accepted values, skips in a row, the values; None before the first update."""
        return {self.cfg.of: self._memory}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; of a history that is longer than the window, with its latest values."""
        if self.cfg.of not in state:
            raise ConfigError(f"the state is that of a SkipSpike of={min(state)!r}", expected=f"of={self.cfg.of!r}")
        memory = state[self.cfg.of]
        self._memory = None if memory is None else self._fitted(memory)

    def _fitted(self, memory: Tensor) -> Tensor:
        kept, window = memory[2:], self.cfg.window
        if len(kept) == window:
            return memory.clone()
        num = int(memory[0])
        latest = (kept[:num] if num < len(kept) else kept.roll(-(num % len(kept))))[-window:]
        counts = memory.new_tensor([len(latest), float(memory[1])])
        return torch.cat([counts, latest, memory.new_zeros(window - len(latest))])
