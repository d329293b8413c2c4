"""Just enough networks for the policies: blocks, backbones, heads, and networks made of them."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.models.backbones.small_cnn import SmallCnn as SmallCnn
    from dltools.models.backbones.small_cnn import SmallCnnCfg as SmallCnnCfg
    from dltools.models.base import Backbone as Backbone
    from dltools.models.base import BackboneCfg as BackboneCfg
    from dltools.models.base import Features as Features
    from dltools.models.base import HeadCfg as HeadCfg
    from dltools.models.base import NetCfg as NetCfg
    from dltools.models.blocks import ConvNormAct as ConvNormAct
    from dltools.models.blocks import ResidualBlock as ResidualBlock
    from dltools.models.heads.linear import LinearHead as LinearHead
    from dltools.models.heads.linear import LinearHeadCfg as LinearHeadCfg
    from dltools.models.network import ModelCfg as ModelCfg
    from dltools.models.network import Network as Network
else:
    __getattr__, __dir__ = lazy(__name__)
