"""Losses: functions of sums, so that many share one pass over the prediction."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses import probabilistic as probabilistic
    from dltools.losses import segmentation as segmentation
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
    from dltools.losses.probabilistic.bce import BCE as BCE
    from dltools.losses.probabilistic.bce import BCECfg as BCECfg
    from dltools.losses.probabilistic.bce import BCELoss as BCELoss
    from dltools.losses.probabilistic.bce import BCELossCfg as BCELossCfg
    from dltools.losses.probabilistic.cross_entropy import CE as CE
    from dltools.losses.probabilistic.cross_entropy import CECfg as CECfg
    from dltools.losses.probabilistic.cross_entropy import CELoss as CELoss
    from dltools.losses.probabilistic.cross_entropy import CELossCfg as CELossCfg
    from dltools.losses.probabilistic.cross_entropy import CrossEntropyLoss as CrossEntropyLoss
    from dltools.losses.probabilistic.cross_entropy import CrossEntropyLossCfg as CrossEntropyLossCfg
    from dltools.losses.probabilistic.focal import FocalLoss as FocalLoss
    from dltools.losses.probabilistic.focal import FocalLossCfg as FocalLossCfg
    from dltools.losses.probabilistic.hardest_pixels import OHEM as OHEM
    from dltools.losses.probabilistic.hardest_pixels import HardestPixelsLoss as HardestPixelsLoss
    from dltools.losses.probabilistic.hardest_pixels import HardestPixelsLossCfg as HardestPixelsLossCfg
    from dltools.losses.probabilistic.hardest_pixels import OHEMCfg as OHEMCfg
    from dltools.losses.probabilistic.js import JSLoss as JSLoss
    from dltools.losses.probabilistic.js import JSLossCfg as JSLossCfg
    from dltools.losses.probabilistic.kl import KL as KL
    from dltools.losses.probabilistic.kl import KLCfg as KLCfg
    from dltools.losses.probabilistic.kl import KLLoss as KLLoss
    from dltools.losses.probabilistic.kl import KLLossCfg as KLLossCfg
    from dltools.losses.probabilistic.nll import NLL as NLL
    from dltools.losses.probabilistic.nll import NLLCfg as NLLCfg
    from dltools.losses.probabilistic.nll import NLLLoss as NLLLoss
    from dltools.losses.probabilistic.nll import NLLLossCfg as NLLLossCfg
    from dltools.losses.probabilistic.poly import PolyLoss as PolyLoss
    from dltools.losses.probabilistic.poly import PolyLossCfg as PolyLossCfg
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
    from dltools.losses.statistical.f_beta import FBetaLoss as FBetaLoss
    from dltools.losses.statistical.f_beta import FBetaLossCfg as FBetaLossCfg
    from dltools.losses.statistical.focal_tversky import FocalTverskyLoss as FocalTverskyLoss
    from dltools.losses.statistical.focal_tversky import FocalTverskyLossCfg as FocalTverskyLossCfg
    from dltools.losses.statistical.mcc import MCCLoss as MCCLoss
    from dltools.losses.statistical.mcc import MCCLossCfg as MCCLossCfg
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
