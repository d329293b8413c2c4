"""Losses of boundaries and how far they are off."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.segmentation.boundary.boundary import BoundaryLoss as BoundaryLoss
    from dltools.losses.segmentation.boundary.boundary import BoundaryLossCfg as BoundaryLossCfg
    from dltools.losses.segmentation.boundary.boundary_f1 import BoundaryF1Loss as BoundaryF1Loss
    from dltools.losses.segmentation.boundary.boundary_f1 import BoundaryF1LossCfg as BoundaryF1LossCfg
    from dltools.losses.segmentation.boundary.hausdorff import HausdorffDTLoss as HausdorffDTLoss
    from dltools.losses.segmentation.boundary.hausdorff import HausdorffDTLossCfg as HausdorffDTLossCfg
    from dltools.losses.segmentation.boundary.hausdorff import HausdorffERLoss as HausdorffERLoss
    from dltools.losses.segmentation.boundary.hausdorff import HausdorffERLossCfg as HausdorffERLossCfg
    from dltools.losses.segmentation.boundary.hausdorff import HausdorffLoss as HausdorffLoss
    from dltools.losses.segmentation.boundary.hausdorff import HausdorffLossCfg as HausdorffLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
