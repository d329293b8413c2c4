"""Losses of surfaces."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.segmentation.boundary.boundary import SurfaceLoss as SurfaceLoss
    from dltools.losses.segmentation.boundary.boundary import SurfaceLossCfg as SurfaceLossCfg
    from dltools.losses.segmentation.geometric.surface2edge import Surface2EdgeLoss as Surface2EdgeLoss
    from dltools.losses.segmentation.geometric.surface2edge import Surface2EdgeLossCfg as Surface2EdgeLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
