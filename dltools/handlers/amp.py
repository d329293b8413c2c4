"""Mixed precision: autocast, and for fp16 a scale of the loss that keeps small gradients from vanishing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.cfgutils.config import Config

GROWTH, BACKOFF = 2.0, 0.5


class AmpCfg(Config["Amp"]):
    """Autocast to half precision."""

    dtype: Literal["bf16", "fp16"] = "bf16"
    """fp16 comes with a loss scale, bf16 needs none."""
    init_scale: Positive = 65536.0
    """Loss scale of the first update, fp16 only."""
    growth_interval: PositiveInt = 2000
    """Finite updates in a row after which the scale doubles."""

    def build(self, device: torch.device | str = "cpu") -> Amp:
        """For a model on ``device``."""
        return Amp(self, torch.device(device))


class Amp:
    """Forward passes in half precision, ``with amp.autocast():``; parameters stay as they are.

    >>> amp = AmpCfg(dtype="bf16").build()
    >>> with amp.autocast():
    ...     print((torch.ones(2, 2) @ torch.ones(2, 2)).dtype, amp.scaler)
    torch.bfloat16 None

    Micikevicius et al. 2017, arXiv:1710.03740.
    """

    def __init__(self, cfg: AmpCfg, device: torch.device) -> None:
        self.cfg: AmpCfg = cfg
        self.device: torch.device = device
        self.dtype: torch.dtype = torch.bfloat16 if cfg.dtype == "bf16" else torch.float16
        has_scale = cfg.dtype == "fp16"
        self.scaler: LossScaler | None = LossScaler(cfg.init_scale, cfg.growth_interval, device) if has_scale else None

    def __repr__(self) -> str:
        return f"build({self.cfg!r}, {str(self.device)!r})"

    def autocast(self) -> torch.autocast:
        """The context of a forward pass."""
        return torch.autocast(self.device.type, self.dtype)


class LossScaler:
    """The loss scale of ``torch.amp.GradScaler``, on any device and never read on the host.

    A non-finite update halves it; ``growth_interval`` finite ones in a row double it, as long as it stays finite.

    >>> scaler = LossScaler(init_scale=8.0, growth_interval=2)
    >>> for non_finite in (1.0, 0.0, 0.0):
    ...     scaler.update(torch.tensor(non_finite))
    ...     print(scaler.scale.item())
    4.0
    4.0
    8.0
    """

    def __init__(
        self, init_scale: float = 65536.0, growth_interval: int = 2000, device: torch.device | str = "cpu"
    ) -> None:
        self.growth_interval: int = growth_interval
        self.scale: Tensor = torch.full((), init_scale, dtype=torch.float32, device=device)
        """0-d. Replaced at each update, so that an open window may keep the one that it began with."""
        self.streak: Tensor = torch.zeros((), dtype=torch.int32, device=device)
        """Finite updates in a row, 0-d."""

    def update(self, non_finite: Tensor) -> None:
        """One update was made (0), or had non-finite gradients (1)."""
        bad = non_finite.to(self.scale.device) > 0
        streak = torch.where(bad, 0, self.streak + 1)
        is_long = streak >= self.growth_interval
        grown = self.scale * GROWTH
        grown = torch.where(grown.isfinite(), grown, self.scale)
        self.scale = torch.where(bad, self.scale * BACKOFF, torch.where(is_long, grown, self.scale))
        self.streak = torch.where(is_long, 0, streak)

    def state_dict(self) -> dict[str, Any]:
        """Scale and streak, as tensors."""
        return {"scale": self.scale, "streak": self.streak}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.scale, self.streak = state["scale"].to(self.scale), state["streak"].to(self.streak)
