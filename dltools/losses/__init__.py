"""Losses: functions of sums, so that many share one pass over the prediction."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses import probabilistic as probabilistic
    from dltools.losses import statistical as statistical
    from dltools.losses.base import Loss as Loss
    from dltools.losses.base import LossCfg as LossCfg
    from dltools.losses.combine import Combine as Combine
    from dltools.losses.combine import CombineCfg as CombineCfg
    from dltools.losses.dense import DenseLoss as DenseLoss
    from dltools.losses.dense import DenseLossCfg as DenseLossCfg
    from dltools.losses.distutils import sync_sums as sync_sums
    from dltools.losses.overlap import OverlapLoss as OverlapLoss
    from dltools.losses.overlap import OverlapLossCfg as OverlapLossCfg
    from dltools.losses.pixel import PixelLoss as PixelLoss
    from dltools.losses.pixel import SidedPixelLoss as SidedPixelLoss
    from dltools.losses.probabilistic.cross_entropy import CE as CE
    from dltools.losses.probabilistic.cross_entropy import CECfg as CECfg
    from dltools.losses.probabilistic.cross_entropy import CELoss as CELoss
    from dltools.losses.probabilistic.cross_entropy import CELossCfg as CELossCfg
    from dltools.losses.probabilistic.cross_entropy import CrossEntropyLoss as CrossEntropyLoss
    from dltools.losses.probabilistic.cross_entropy import CrossEntropyLossCfg as CrossEntropyLossCfg
    from dltools.losses.probabilistic.focal import FocalLoss as FocalLoss
    from dltools.losses.probabilistic.focal import FocalLossCfg as FocalLossCfg
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
    from dltools.losses.view import View as View
    from dltools.losses.weights import CosineWeight as CosineWeight
    from dltools.losses.weights import CosineWeightCfg as CosineWeightCfg
    from dltools.losses.weights import LinearWeight as LinearWeight
    from dltools.losses.weights import LinearWeightCfg as LinearWeightCfg
    from dltools.losses.weights import PiecewiseWeight as PiecewiseWeight
    from dltools.losses.weights import PiecewiseWeightCfg as PiecewiseWeightCfg
    from dltools.losses.weights import Weight as Weight
    from dltools.losses.weights import WeightCfg as WeightCfg
else:
    __getattr__, __dir__ = lazy(__name__)
