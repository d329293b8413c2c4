"""The head of a classifier."""

from __future__ import annotations

from torch import Tensor, nn

from dltools.errors import ConfigError
from dltools.models.base import Features, HeadCfg, Maps


class LinearHeadCfg(HeadCfg["LinearHead"]):
    def __post_init__(self) -> None:
        if self.classes and len(self.classes) != self.num_outputs:
            raise ConfigError(f"{len(self.classes)} classes for {self.num_outputs} outputs", expected="one name each")


class LinearHead(nn.Module):
    """Mean over the coarsest map, then one linear layer: maps (N, C_i, H_i, W_i) to logits (N, num_outputs).

    >>> import torch
    >>> head = LinearHeadCfg(num_outputs=3).build(Features((4, 8), (1, 2)))
    >>> head([torch.zeros(2, 4, 8, 8), torch.zeros(2, 8, 4, 4)]).shape
    torch.Size([2, 3])
    """

    def __init__(self, cfg: LinearHeadCfg, features: Features) -> None:
        super().__init__()
        self.cfg = cfg
        self.linear: nn.Linear = nn.Linear(features.channels[-1], cfg.num_outputs)

    def forward(self, maps: Maps) -> Tensor:
        """Logits of the coarsest map."""
        out: Tensor = self.linear(maps[-1].mean((2, 3)))
        return out
