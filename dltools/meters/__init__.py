"""Numbers that add up on the device over many steps, and ``collect``, which reads all of them at once."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.meters.base import Meter as Meter
    from dltools.meters.extent import Range as Range
    from dltools.meters.extent import Rate as Rate
    from dltools.meters.group import Meters as Meters
    from dltools.meters.mean import AverageMeter as AverageMeter
    from dltools.meters.mean import Mean as Mean
    from dltools.meters.mean import Total as Total
    from dltools.meters.recent import Ema as Ema
    from dltools.meters.recent import Last as Last
    from dltools.meters.recent import Window as Window
    from dltools.meters.report import Interval as Interval
    from dltools.meters.report import Reading as Reading
    from dltools.meters.report import Report as Report
    from dltools.meters.sources import Source as Source
    from dltools.meters.sources import collect as collect
else:
    __getattr__, __dir__ = lazy(__name__)
