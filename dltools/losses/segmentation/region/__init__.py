"""Losses of regions and how they overlap."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.segmentation.region.cldice import CLDiceLoss as CLDiceLoss
    from dltools.losses.segmentation.region.cldice import CLDiceLossCfg as CLDiceLossCfg
    from dltools.losses.segmentation.region.g_dice import GDice as GDice
    from dltools.losses.segmentation.region.g_dice import GDiceCfg as GDiceCfg
    from dltools.losses.segmentation.region.g_dice import GDiceLoss as GDiceLoss
    from dltools.losses.segmentation.region.g_dice import GDiceLossCfg as GDiceLossCfg
    from dltools.losses.segmentation.region.g_dice import GeneralizedDiceLoss as GeneralizedDiceLoss
    from dltools.losses.segmentation.region.g_dice import GeneralizedDiceLossCfg as GeneralizedDiceLossCfg
    from dltools.losses.segmentation.region.jaccard import JaccardLoss as JaccardLoss
    from dltools.losses.segmentation.region.jaccard import JaccardLossCfg as JaccardLossCfg
    from dltools.losses.segmentation.region.jaccard import SoftIoU as SoftIoU
    from dltools.losses.segmentation.region.jaccard import SoftIoUCfg as SoftIoUCfg
    from dltools.losses.segmentation.region.jaccard import SoftIoULoss as SoftIoULoss
    from dltools.losses.segmentation.region.jaccard import SoftIoULossCfg as SoftIoULossCfg
    from dltools.losses.segmentation.region.squared import SqDice as SqDice
    from dltools.losses.segmentation.region.squared import SqDiceCfg as SqDiceCfg
    from dltools.losses.segmentation.region.squared import SqDiceLoss as SqDiceLoss
    from dltools.losses.segmentation.region.squared import SqDiceLossCfg as SqDiceLossCfg
    from dltools.losses.segmentation.region.squared import SqJaccard as SqJaccard
    from dltools.losses.segmentation.region.squared import SqJaccardCfg as SqJaccardCfg
    from dltools.losses.segmentation.region.squared import SqJaccardLoss as SqJaccardLoss
    from dltools.losses.segmentation.region.squared import SqJaccardLossCfg as SqJaccardLossCfg
    from dltools.losses.statistical.dice import DiceLoss as DiceLoss
    from dltools.losses.statistical.dice import DiceLossCfg as DiceLossCfg
    from dltools.losses.statistical.dice import F1Loss as F1Loss
    from dltools.losses.statistical.dice import F1LossCfg as F1LossCfg
    from dltools.losses.statistical.dice import SoftDICE as SoftDICE
    from dltools.losses.statistical.dice import SoftDICECfg as SoftDICECfg
    from dltools.losses.statistical.dice import SoftDiceLoss as SoftDiceLoss
    from dltools.losses.statistical.dice import SoftDiceLossCfg as SoftDiceLossCfg
    from dltools.losses.statistical.tversky import TverskiyLoss as TverskiyLoss
    from dltools.losses.statistical.tversky import TverskiyLossCfg as TverskiyLossCfg
    from dltools.losses.statistical.tversky import TverskyLoss as TverskyLoss
    from dltools.losses.statistical.tversky import TverskyLossCfg as TverskyLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
