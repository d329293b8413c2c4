"""Losses of overlap and agreement."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
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
    from dltools.losses.statistical.lovasz import LovaszHingeLoss as LovaszHingeLoss
    from dltools.losses.statistical.lovasz import LovaszHingeLossCfg as LovaszHingeLossCfg
    from dltools.losses.statistical.lovasz import LovaszSoftmax as LovaszSoftmax
    from dltools.losses.statistical.lovasz import LovaszSoftmaxCfg as LovaszSoftmaxCfg
    from dltools.losses.statistical.lovasz import LovaszSoftmaxLoss as LovaszSoftmaxLoss
    from dltools.losses.statistical.lovasz import LovaszSoftmaxLossCfg as LovaszSoftmaxLossCfg
    from dltools.losses.statistical.mcc import MCCLoss as MCCLoss
    from dltools.losses.statistical.mcc import MCCLossCfg as MCCLossCfg
    from dltools.losses.statistical.tversky import TverskiyLoss as TverskiyLoss
    from dltools.losses.statistical.tversky import TverskiyLossCfg as TverskiyLossCfg
    from dltools.losses.statistical.tversky import TverskyLoss as TverskyLoss
    from dltools.losses.statistical.tversky import TverskyLossCfg as TverskyLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
