"""Losses of probabilities: cross entropy and its kin."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.probabilistic.cross_entropy import CE as CE
    from dltools.losses.probabilistic.cross_entropy import CECfg as CECfg
    from dltools.losses.probabilistic.cross_entropy import CELoss as CELoss
    from dltools.losses.probabilistic.cross_entropy import CELossCfg as CELossCfg
    from dltools.losses.probabilistic.cross_entropy import CrossEntropyLoss as CrossEntropyLoss
    from dltools.losses.probabilistic.cross_entropy import CrossEntropyLossCfg as CrossEntropyLossCfg
    from dltools.losses.probabilistic.focal import FocalLoss as FocalLoss
    from dltools.losses.probabilistic.focal import FocalLossCfg as FocalLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
