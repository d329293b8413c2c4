"""A network of parts that a config names: one backbone, any number of heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from dltools.cfgutils.component import Component
from dltools.cfgutils.config import build
from dltools.errors import ConfigError
from dltools.models.base import Backbone, BackboneCfg, HeadCfg, NetCfg


class ModelCfg(NetCfg["Network"]):
    backbone: BackboneCfg[Any]
    heads: Mapping[str, HeadCfg[Any]]
    """Outputs by name."""

    def __post_init__(self) -> None:
        if not self.heads:
            raise ConfigError("a network needs a head", expected="heads: {name: {type: LinearHead, ...}}")


class Network(Component[ModelCfg], nn.Module):
    """``forward(x)`` gives the output of each head by name.

    >>> import torch
    >>> from dltools.models import LinearHeadCfg, SmallCnnCfg
    >>> cfg = ModelCfg(backbone=SmallCnnCfg(in_channels=1, width=8), heads={"label": LinearHeadCfg(num_outputs=10)})
    >>> cfg.build()(torch.zeros(2, 1, 8, 8))["label"].shape
    torch.Size([2, 10])
    """

    def setup(self) -> None:
        self.backbone: Backbone[Any] = build(self.cfg.backbone)
        self.heads: nn.ModuleDict = nn.ModuleDict(
            {name: build(head, self.backbone.features) for name, head in self.cfg.heads.items()}
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, C, H, W) to outputs by head."""
        maps = self.backbone(x)
        return {name: head(maps) for name, head in self.heads.items()}
