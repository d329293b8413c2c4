"""Tensors whose layout follows from a config alone, and which know how two of them merge.

Whatever losses, metrics and meters count stands in states; that is why one collective merges all over the ranks.
"""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.states.counted import States as States
    from dltools.states.kinds import Apart as Apart
    from dltools.states.kinds import First as First
    from dltools.states.kinds import Hist16 as Hist16
    from dltools.states.kinds import Max as Max
    from dltools.states.kinds import Min as Min
    from dltools.states.kinds import State as State
    from dltools.states.kinds import Sum as Sum
    from dltools.states.kinds import Table as Table
else:
    __getattr__, __dir__ = lazy(__name__)
