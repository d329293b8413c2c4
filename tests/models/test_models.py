from __future__ import annotations

import pytest
import torch
from torch import nn

from dltools.cfgutils import build, load
from dltools.errors import ConfigError
from dltools.models import ConvNormAct, LinearHeadCfg, ModelCfg, NetCfg, Network, ResidualBlock, SmallCnnCfg

TEXT = """
type: Model
backbone: {type: SmallCnn, in_channels: 2, width: 4}
heads:
  label: {type: LinearHead, num_outputs: 3, classes: [a, b, c]}
  pose: {type: LinearHead, num_outputs: 2}
"""


def test_a_network_comes_from_yaml_with_its_heads() -> None:
    cfg = load(NetCfg, TEXT)  # type: ignore[type-abstract]
    net = build(cfg)
    assert isinstance(net, Network)
    assert cfg == ModelCfg(
        backbone=SmallCnnCfg(in_channels=2, width=4),
        heads={"label": LinearHeadCfg(num_outputs=3, classes=("a", "b", "c")), "pose": LinearHeadCfg(num_outputs=2)},
    )
    out = net(torch.zeros(5, 2, 9, 7))
    assert {name: tuple(x.shape) for name, x in out.items()} == {"label": (5, 3), "pose": (5, 2)}


def test_features_tell_the_shapes_of_the_maps() -> None:
    backbone = build(SmallCnnCfg(in_channels=1, width=4))
    maps = backbone(torch.zeros(2, 1, 16, 8))
    assert tuple(x.shape[1] for x in maps) == backbone.features.channels == (4, 8, 16)
    assert tuple(16 // x.shape[2] for x in maps) == backbone.features.strides


def test_weights_come_from_the_global_generator() -> None:
    cfg = SmallCnnCfg(width=4)
    torch.manual_seed(3)
    first = build(cfg).state_dict()
    torch.manual_seed(3)
    assert all(torch.equal(x, first[name]) for name, x in build(cfg).state_dict().items())


def test_a_residual_block_starts_as_the_identity_behind_relu() -> None:
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(ResidualBlock(4)(x), x.relu())


def test_a_convolution_keeps_the_variance_of_its_input() -> None:
    torch.manual_seed(0)
    conv = ConvNormAct(64, 64)[0]
    assert isinstance(conv, nn.Conv2d)
    assert conv.weight.var().item() == pytest.approx(2 / (9 * 64), rel=0.05)


def test_mistakes_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 classes for 3 outputs"):
        LinearHeadCfg(num_outputs=3, classes=("a", "b"))
    with pytest.raises(ConfigError, match="needs a head"):
        ModelCfg(backbone=SmallCnnCfg(), heads={})
    with pytest.raises(ConfigError, match="num_outputs: required"):
        LinearHeadCfg()  # type: ignore[call-arg]
