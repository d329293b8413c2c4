"""One exact optimizer step: accumulation, mixed precision, clipping, skipping, averaging, schedule."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.handlers.accumulate import Accumulate as Accumulate
    from dltools.handlers.accumulate import AccumulateCfg as AccumulateCfg
    from dltools.handlers.amp import Amp as Amp
    from dltools.handlers.amp import AmpCfg as AmpCfg
    from dltools.handlers.amp import LossScaler as LossScaler
    from dltools.handlers.average import Average as Average
    from dltools.handlers.average import AverageCfg as AverageCfg
    from dltools.handlers.average import Ema as Ema
    from dltools.handlers.average import EmaCfg as EmaCfg
    from dltools.handlers.base import Handler as Handler
    from dltools.handlers.base import StepCfg as StepCfg
    from dltools.handlers.base import StepInfo as StepInfo
    from dltools.handlers.clip import Clip as Clip
    from dltools.handlers.clip import ClipCfg as ClipCfg
    from dltools.handlers.clip import ClipNorm as ClipNorm
    from dltools.handlers.clip import ClipNormCfg as ClipNormCfg
    from dltools.handlers.gradients import Gradients as Gradients
    from dltools.handlers.skip import Skip as Skip
    from dltools.handlers.skip import SkipCfg as SkipCfg
    from dltools.handlers.skip import SkipNonFinite as SkipNonFinite
    from dltools.handlers.skip import SkipNonFiniteCfg as SkipNonFiniteCfg
    from dltools.handlers.step import StepHandler as StepHandler
    from dltools.handlers.step import StepHandlerCfg as StepHandlerCfg
else:
    __getattr__, __dir__ = lazy(__name__)
