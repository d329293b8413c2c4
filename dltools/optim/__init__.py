"""Optimizers, parameter groups and schedules."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.optim import schedulers as schedulers
    from dltools.optim import utils as utils
    from dltools.optim.base import OptimCfg as OptimCfg
    from dltools.optim.base import Params as Params
    from dltools.optim.external import ExternalOptimCfg as ExternalOptimCfg
    from dltools.optim.mixed import MixedOptim as MixedOptim
    from dltools.optim.mixed import MixedOptimCfg as MixedOptimCfg
    from dltools.optim.schedulers.base import Schedule as Schedule
    from dltools.optim.schedulers.base import ScheduleCfg as ScheduleCfg
    from dltools.optim.schedulers.compose import PointsSchedule as PointsSchedule
    from dltools.optim.schedulers.compose import PointsScheduleCfg as PointsScheduleCfg
    from dltools.optim.schedulers.compose import ProductSchedule as ProductSchedule
    from dltools.optim.schedulers.compose import ProductScheduleCfg as ProductScheduleCfg
    from dltools.optim.schedulers.compose import SequenceSchedule as SequenceSchedule
    from dltools.optim.schedulers.compose import SequenceScheduleCfg as SequenceScheduleCfg
    from dltools.optim.schedulers.curves import ConstantSchedule as ConstantSchedule
    from dltools.optim.schedulers.curves import ConstantScheduleCfg as ConstantScheduleCfg
    from dltools.optim.schedulers.curves import CosineSchedule as CosineSchedule
    from dltools.optim.schedulers.curves import CosineScheduleCfg as CosineScheduleCfg
    from dltools.optim.schedulers.curves import ExponentialSchedule as ExponentialSchedule
    from dltools.optim.schedulers.curves import ExponentialScheduleCfg as ExponentialScheduleCfg
    from dltools.optim.schedulers.curves import InverseSqrtSchedule as InverseSqrtSchedule
    from dltools.optim.schedulers.curves import InverseSqrtScheduleCfg as InverseSqrtScheduleCfg
    from dltools.optim.schedulers.curves import LinearSchedule as LinearSchedule
    from dltools.optim.schedulers.curves import LinearScheduleCfg as LinearScheduleCfg
    from dltools.optim.schedulers.curves import MultiStepSchedule as MultiStepSchedule
    from dltools.optim.schedulers.curves import MultiStepScheduleCfg as MultiStepScheduleCfg
    from dltools.optim.schedulers.curves import PolynomialSchedule as PolynomialSchedule
    from dltools.optim.schedulers.curves import PolynomialScheduleCfg as PolynomialScheduleCfg
    from dltools.optim.schedulers.curves import WSDSchedule as WSDSchedule
    from dltools.optim.schedulers.curves import WSDScheduleCfg as WSDScheduleCfg
    from dltools.optim.schedulers.cyclic import CosineRestartsSchedule as CosineRestartsSchedule
    from dltools.optim.schedulers.cyclic import CosineRestartsScheduleCfg as CosineRestartsScheduleCfg
    from dltools.optim.schedulers.cyclic import CyclicSchedule as CyclicSchedule
    from dltools.optim.schedulers.cyclic import CyclicScheduleCfg as CyclicScheduleCfg
    from dltools.optim.schedulers.cyclic import OneCycleSchedule as OneCycleSchedule
    from dltools.optim.schedulers.cyclic import OneCycleScheduleCfg as OneCycleScheduleCfg
    from dltools.optim.schedulers.plateau import Plateau as Plateau
    from dltools.optim.schedulers.plateau import PlateauCfg as PlateauCfg
    from dltools.optim.schedulers.scheduler import Scheduler as Scheduler
    from dltools.optim.schedulers.scheduler import SchedulerCfg as SchedulerCfg
    from dltools.optim.torch_optim import AdadeltaCfg as AdadeltaCfg
    from dltools.optim.torch_optim import AdafactorCfg as AdafactorCfg
    from dltools.optim.torch_optim import AdagradCfg as AdagradCfg
    from dltools.optim.torch_optim import AdamaxCfg as AdamaxCfg
    from dltools.optim.torch_optim import AdamCfg as AdamCfg
    from dltools.optim.torch_optim import AdamLikeCfg as AdamLikeCfg
    from dltools.optim.torch_optim import AdamWCfg as AdamWCfg
    from dltools.optim.torch_optim import ASGDCfg as ASGDCfg
    from dltools.optim.torch_optim import LBFGSCfg as LBFGSCfg
    from dltools.optim.torch_optim import MuonCfg as MuonCfg
    from dltools.optim.torch_optim import NAdamCfg as NAdamCfg
    from dltools.optim.torch_optim import RAdamCfg as RAdamCfg
    from dltools.optim.torch_optim import RMSpropCfg as RMSpropCfg
    from dltools.optim.torch_optim import RpropCfg as RpropCfg
    from dltools.optim.torch_optim import SGDCfg as SGDCfg
    from dltools.optim.torch_optim import SparseAdamCfg as SparseAdamCfg
    from dltools.optim.utils.groups import GroupRow as GroupRow
    from dltools.optim.utils.groups import GroupRuleCfg as GroupRuleCfg
    from dltools.optim.utils.groups import ParamGroups as ParamGroups
    from dltools.optim.utils.groups import ParamGroupsCfg as ParamGroupsCfg
    from dltools.optim.utils.groups import param_groups as param_groups
    from dltools.optim.utils.roles import Role as Role
else:
    __getattr__, __dir__ = lazy(__name__)
