"""Losses of boxes and of their scores."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.detection.alpha_iou import AlphaIoULoss as AlphaIoULoss
    from dltools.losses.detection.alpha_iou import AlphaIoULossCfg as AlphaIoULossCfg
    from dltools.losses.detection.ciou import CIoULoss as CIoULoss
    from dltools.losses.detection.ciou import CIoULossCfg as CIoULossCfg
    from dltools.losses.detection.df import DFLoss as DFLoss
    from dltools.losses.detection.df import DFLossCfg as DFLossCfg
    from dltools.losses.detection.diou import DIoULoss as DIoULoss
    from dltools.losses.detection.diou import DIoULossCfg as DIoULossCfg
    from dltools.losses.detection.eiou import EIoULoss as EIoULoss
    from dltools.losses.detection.eiou import EIoULossCfg as EIoULossCfg
    from dltools.losses.detection.giou import GIoULoss as GIoULoss
    from dltools.losses.detection.giou import GIoULossCfg as GIoULossCfg
    from dltools.losses.detection.iou import IoULoss as IoULoss
    from dltools.losses.detection.iou import IoULossCfg as IoULossCfg
    from dltools.losses.detection.iou import MIoU as MIoU
    from dltools.losses.detection.iou import MIoUCfg as MIoUCfg
    from dltools.losses.detection.iou import MIoULoss as MIoULoss
    from dltools.losses.detection.iou import MIoULossCfg as MIoULossCfg
    from dltools.losses.detection.map import MAP as MAP
    from dltools.losses.detection.map import MAPCfg as MAPCfg
    from dltools.losses.detection.map import MAPLoss as MAPLoss
    from dltools.losses.detection.map import MAPLossCfg as MAPLossCfg
    from dltools.losses.detection.mpd_iou import MPDIoULoss as MPDIoULoss
    from dltools.losses.detection.mpd_iou import MPDIoULossCfg as MPDIoULossCfg
    from dltools.losses.detection.nwd import NWDLoss as NWDLoss
    from dltools.losses.detection.nwd import NWDLossCfg as NWDLossCfg
    from dltools.losses.detection.quality_focal import QualityFocalLoss as QualityFocalLoss
    from dltools.losses.detection.quality_focal import QualityFocalLossCfg as QualityFocalLossCfg
    from dltools.losses.detection.siou import SIoULoss as SIoULoss
    from dltools.losses.detection.siou import SIoULossCfg as SIoULossCfg
    from dltools.losses.detection.varifocal import VarifocalLoss as VarifocalLoss
    from dltools.losses.detection.varifocal import VarifocalLossCfg as VarifocalLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
