"""Losses of key points and their heatmaps."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.keypoints.adaptive_wing import AdaptiveWingLoss as AdaptiveWingLoss
    from dltools.losses.keypoints.adaptive_wing import AdaptiveWingLossCfg as AdaptiveWingLossCfg
    from dltools.losses.keypoints.gaussian_focal import GaussianFocalLoss as GaussianFocalLoss
    from dltools.losses.keypoints.gaussian_focal import GaussianFocalLossCfg as GaussianFocalLossCfg
    from dltools.losses.keypoints.heatmap import HeatmapLoss as HeatmapLoss
    from dltools.losses.keypoints.heatmap import HeatmapLossCfg as HeatmapLossCfg
    from dltools.losses.keypoints.oks import OKSLoss as OKSLoss
    from dltools.losses.keypoints.oks import OKSLossCfg as OKSLossCfg
    from dltools.losses.keypoints.wing import WingLoss as WingLoss
    from dltools.losses.keypoints.wing import WingLossCfg as WingLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
