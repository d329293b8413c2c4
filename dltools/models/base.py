"""Families of networks: a backbone gives maps, a head makes one output of them, a network is whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn

from dltools.cfgutils.annotations import PositiveInt
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="BackboneCfg[Any]")
Maps = Sequence[Tensor]
"""Feature maps (N, C, H, W), the finest first."""


class Features(NamedTuple):
    """What a backbone gives: channels of each map, and how many input pixels one of its pixels covers."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


class NetCfg(Config[T_co]):
    """A whole network."""

    def build(self) -> T_co:
        """The network, with fresh weights from torch's global generator."""
        return self.product()(self)


class BackboneCfg(Config[T_co]):
    """A network from images to feature maps."""

    in_channels: PositiveInt = 3

    def build(self) -> T_co:
        """The backbone; its ``features`` tell the shapes of its maps."""
        return self.product()(self)


class HeadCfg(Config[T_co]):
    """A network from feature maps to one output."""

    num_outputs: PositiveInt
    classes: tuple[str, ...] = ()
    """Names of the outputs, for pictures and cards."""

    def build(self, features: Features) -> T_co:
        """The head for maps of these shapes."""
        return self.product()(self, features)


class Backbone(Component[CfgT], nn.Module):
    """``forward(x)`` gives a list of maps, the finest first; ``features`` their shapes."""

    features: Features
