"""Losses of classes: margins, and classes of which some are rare."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.classification.asymmetric import AsymmetricLoss as AsymmetricLoss
    from dltools.losses.classification.asymmetric import AsymmetricLossCfg as AsymmetricLossCfg
    from dltools.losses.classification.ldam import LDAMLoss as LDAMLoss
    from dltools.losses.classification.ldam import LDAMLossCfg as LDAMLossCfg
    from dltools.losses.classification.logit_adjusted import LogitAdjustedLoss as LogitAdjustedLoss
    from dltools.losses.classification.logit_adjusted import LogitAdjustedLossCfg as LogitAdjustedLossCfg
    from dltools.losses.classification.multi_margin import MultiMarginLoss as MultiMarginLoss
    from dltools.losses.classification.multi_margin import MultiMarginLossCfg as MultiMarginLossCfg
    from dltools.losses.classification.soft_margin import SoftMarginLoss as SoftMarginLoss
    from dltools.losses.classification.soft_margin import SoftMarginLossCfg as SoftMarginLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
