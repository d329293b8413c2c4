"""Losses of probabilities: cross entropy and its kin."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.probabilistic.bce import BCE as BCE
    from dltools.losses.probabilistic.bce import BCECfg as BCECfg
    from dltools.losses.probabilistic.bce import BCELoss as BCELoss
    from dltools.losses.probabilistic.bce import BCELossCfg as BCELossCfg
    from dltools.losses.probabilistic.cross_entropy import CE as CE
    from dltools.losses.probabilistic.cross_entropy import CECfg as CECfg
    from dltools.losses.probabilistic.cross_entropy import CELoss as CELoss
    from dltools.losses.probabilistic.cross_entropy import CELossCfg as CELossCfg
    from dltools.losses.probabilistic.cross_entropy import CrossEntropyLoss as CrossEntropyLoss
    from dltools.losses.probabilistic.cross_entropy import CrossEntropyLossCfg as CrossEntropyLossCfg
    from dltools.losses.probabilistic.ctc import CTCLoss as CTCLoss
    from dltools.losses.probabilistic.ctc import CTCLossCfg as CTCLossCfg
    from dltools.losses.probabilistic.focal import FocalLoss as FocalLoss
    from dltools.losses.probabilistic.focal import FocalLossCfg as FocalLossCfg
    from dltools.losses.probabilistic.gaussian_nll import GaussianNLLLoss as GaussianNLLLoss
    from dltools.losses.probabilistic.gaussian_nll import GaussianNLLLossCfg as GaussianNLLLossCfg
    from dltools.losses.probabilistic.hardest_pixels import OHEM as OHEM
    from dltools.losses.probabilistic.hardest_pixels import HardestPixelsLoss as HardestPixelsLoss
    from dltools.losses.probabilistic.hardest_pixels import HardestPixelsLossCfg as HardestPixelsLossCfg
    from dltools.losses.probabilistic.hardest_pixels import OHEMCfg as OHEMCfg
    from dltools.losses.probabilistic.js import JSLoss as JSLoss
    from dltools.losses.probabilistic.js import JSLossCfg as JSLossCfg
    from dltools.losses.probabilistic.kl import KL as KL
    from dltools.losses.probabilistic.kl import KLCfg as KLCfg
    from dltools.losses.probabilistic.kl import KLLoss as KLLoss
    from dltools.losses.probabilistic.kl import KLLossCfg as KLLossCfg
    from dltools.losses.probabilistic.nll import NLL as NLL
    from dltools.losses.probabilistic.nll import NLLCfg as NLLCfg
    from dltools.losses.probabilistic.nll import NLLLoss as NLLLoss
    from dltools.losses.probabilistic.nll import NLLLossCfg as NLLLossCfg
    from dltools.losses.probabilistic.poisson_nll import PoissonNLLLoss as PoissonNLLLoss
    from dltools.losses.probabilistic.poisson_nll import PoissonNLLLossCfg as PoissonNLLLossCfg
    from dltools.losses.probabilistic.poly import PolyLoss as PolyLoss
    from dltools.losses.probabilistic.poly import PolyLossCfg as PolyLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
