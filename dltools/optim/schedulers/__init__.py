"""Schedules as pure functions of the step, and the scheduler that writes them into an optimizer."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
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
else:
    __getattr__, __dir__ = lazy(__name__)
