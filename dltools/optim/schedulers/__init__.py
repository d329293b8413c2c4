"""Schedules as pure functions of the step, and the scheduler that writes them into an optimizer."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.optim.schedulers.base import Schedule as Schedule
    from dltools.optim.schedulers.base import ScheduleCfg as ScheduleCfg
    from dltools.optim.schedulers.curves import ConstantSchedule as ConstantSchedule
    from dltools.optim.schedulers.curves import ConstantScheduleCfg as ConstantScheduleCfg
    from dltools.optim.schedulers.curves import CosineSchedule as CosineSchedule
    from dltools.optim.schedulers.curves import CosineScheduleCfg as CosineScheduleCfg
    from dltools.optim.schedulers.curves import LinearSchedule as LinearSchedule
    from dltools.optim.schedulers.curves import LinearScheduleCfg as LinearScheduleCfg
    from dltools.optim.schedulers.cyclic import OneCycleSchedule as OneCycleSchedule
    from dltools.optim.schedulers.cyclic import OneCycleScheduleCfg as OneCycleScheduleCfg
    from dltools.optim.schedulers.scheduler import Scheduler as Scheduler
    from dltools.optim.schedulers.scheduler import SchedulerCfg as SchedulerCfg
else:
    __getattr__, __dir__ = lazy(__name__)
