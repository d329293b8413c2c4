"""A store of checkpoints without pickle that survives kills and damage, and runs that resume to the last bit."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.checkpoints.card import Card as Card
    from dltools.checkpoints.card import Ref as Ref
    from dltools.checkpoints.parts import Stateful as Stateful
    from dltools.checkpoints.reading import Loaded as Loaded
    from dltools.checkpoints.run import Run as Run
    from dltools.checkpoints.run import RunCfg as RunCfg
    from dltools.checkpoints.store import Store as Store
    from dltools.checkpoints.store import StoreCfg as StoreCfg
else:
    __getattr__, __dir__ = lazy(__name__)
