"""Augmentations: presets per task and strength, on images, masks, boxes and keypoints alike."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.augs.base import Aug as Aug
    from dltools.augs.base import AugCfg as AugCfg
    from dltools.augs.base import Plan as Plan
    from dltools.augs.base import Sample as Sample
    from dltools.augs.base import variants as variants
    from dltools.augs.box import BoxPolicy as BoxPolicy
    from dltools.augs.geometry import GeometryCfg as GeometryCfg
    from dltools.augs.moving import warp as warp
    from dltools.augs.norm import IMAGENET as IMAGENET
    from dltools.augs.norm import Norm as Norm
    from dltools.augs.pixel import PixelCfg as PixelCfg
    from dltools.augs.preset import Preset as Preset
    from dltools.augs.preset import PresetCfg as PresetCfg
else:
    __getattr__, __dir__ = lazy(__name__)
