"""Losses of differences between numbers."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.magnitude.charbonnier import CharbonnierLoss as CharbonnierLoss
    from dltools.losses.magnitude.charbonnier import CharbonnierLossCfg as CharbonnierLossCfg
    from dltools.losses.magnitude.cosine import CosineLoss as CosineLoss
    from dltools.losses.magnitude.cosine import CosineLossCfg as CosineLossCfg
    from dltools.losses.magnitude.huber import Huber as Huber
    from dltools.losses.magnitude.huber import HuberCfg as HuberCfg
    from dltools.losses.magnitude.huber import HuberLoss as HuberLoss
    from dltools.losses.magnitude.huber import HuberLossCfg as HuberLossCfg
    from dltools.losses.magnitude.l1 import L1 as L1
    from dltools.losses.magnitude.l1 import MAE as MAE
    from dltools.losses.magnitude.l1 import L1Cfg as L1Cfg
    from dltools.losses.magnitude.l1 import L1Loss as L1Loss
    from dltools.losses.magnitude.l1 import L1LossCfg as L1LossCfg
    from dltools.losses.magnitude.l1 import MAECfg as MAECfg
    from dltools.losses.magnitude.l1 import MAELoss as MAELoss
    from dltools.losses.magnitude.l1 import MAELossCfg as MAELossCfg
    from dltools.losses.magnitude.log_cosh import LogCoshLoss as LogCoshLoss
    from dltools.losses.magnitude.log_cosh import LogCoshLossCfg as LogCoshLossCfg
    from dltools.losses.magnitude.mse import MSE as MSE
    from dltools.losses.magnitude.mse import L2Loss as L2Loss
    from dltools.losses.magnitude.mse import L2LossCfg as L2LossCfg
    from dltools.losses.magnitude.mse import MSECfg as MSECfg
    from dltools.losses.magnitude.mse import MSELoss as MSELoss
    from dltools.losses.magnitude.mse import MSELossCfg as MSELossCfg
    from dltools.losses.magnitude.quantile import QuantileLoss as QuantileLoss
    from dltools.losses.magnitude.quantile import QuantileLossCfg as QuantileLossCfg
    from dltools.losses.magnitude.smooth_l1 import SmoothL1Loss as SmoothL1Loss
    from dltools.losses.magnitude.smooth_l1 import SmoothL1LossCfg as SmoothL1LossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
