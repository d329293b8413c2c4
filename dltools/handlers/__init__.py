"""One exact optimizer step: accumulation, mixed precision, clipping, skipping, averaging, schedule."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.handlers.accumulate import Accumulate as Accumulate
    from dltools.handlers.accumulate import AccumulateCfg as AccumulateCfg
    from dltools.handlers.adaptive import AdaGC as AdaGC
    from dltools.handlers.adaptive import AdaGCCfg as AdaGCCfg
    from dltools.handlers.adaptive import ZClip as ZClip
    from dltools.handlers.adaptive import ZClipCfg as ZClipCfg
    from dltools.handlers.amp import Amp as Amp
    from dltools.handlers.amp import AmpCfg as AmpCfg
    from dltools.handlers.amp import LossScaler as LossScaler
    from dltools.handlers.average import Average as Average
    from dltools.handlers.average import AverageCfg as AverageCfg
    from dltools.handlers.average import Ema as Ema
    from dltools.handlers.average import EmaCfg as EmaCfg
    from dltools.handlers.average import Swa as Swa
    from dltools.handlers.average import SwaCfg as SwaCfg
    from dltools.handlers.base import Handler as Handler
    from dltools.handlers.base import StepCfg as StepCfg
    from dltools.handlers.base import StepInfo as StepInfo
    from dltools.handlers.clip import AGC as AGC
    from dltools.handlers.clip import AGCCfg as AGCCfg
    from dltools.handlers.clip import Clip as Clip
    from dltools.handlers.clip import ClipCfg as ClipCfg
    from dltools.handlers.clip import ClipNorm as ClipNorm
    from dltools.handlers.clip import ClipNormCfg as ClipNormCfg
    from dltools.handlers.clip import ClipValue as ClipValue
    from dltools.handlers.clip import ClipValueCfg as ClipValueCfg
    from dltools.handlers.early_stop import Decision as Decision
    from dltools.handlers.early_stop import EarlyStopper as EarlyStopper
    from dltools.handlers.early_stop import EarlyStopperCfg as EarlyStopperCfg
    from dltools.handlers.gradients import Gradients as Gradients
    from dltools.handlers.module import CheckpointActivations as CheckpointActivations
    from dltools.handlers.module import CheckpointActivationsCfg as CheckpointActivationsCfg
    from dltools.handlers.module import CompileModule as CompileModule
    from dltools.handlers.module import CompileModuleCfg as CompileModuleCfg
    from dltools.handlers.module import ModuleChange as ModuleChange
    from dltools.handlers.module import ModuleChangeCfg as ModuleChangeCfg
    from dltools.handlers.skip import Skip as Skip
    from dltools.handlers.skip import SkipCfg as SkipCfg
    from dltools.handlers.skip import SkipNonFinite as SkipNonFinite
    from dltools.handlers.skip import SkipNonFiniteCfg as SkipNonFiniteCfg
    from dltools.handlers.skip import SkipSpike as SkipSpike
    from dltools.handlers.skip import SkipSpikeCfg as SkipSpikeCfg
    from dltools.handlers.step import StepHandler as StepHandler
    from dltools.handlers.step import StepHandlerCfg as StepHandlerCfg
else:
    __getattr__, __dir__ = lazy(__name__)
