"""Losses of generated images: of discriminators, features and structure."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.adversarial.feature_matching import FeatureMatchingLoss as FeatureMatchingLoss
    from dltools.losses.adversarial.feature_matching import FeatureMatchingLossCfg as FeatureMatchingLossCfg
    from dltools.losses.adversarial.features import FeatureLoss as FeatureLoss
    from dltools.losses.adversarial.features import FeatureLossCfg as FeatureLossCfg
    from dltools.losses.adversarial.gan import GANLoss as GANLoss
    from dltools.losses.adversarial.gan import GANLossCfg as GANLossCfg
    from dltools.losses.adversarial.gan import HingeGANLoss as HingeGANLoss
    from dltools.losses.adversarial.gan import HingeGANLossCfg as HingeGANLossCfg
    from dltools.losses.adversarial.gan import LSGANLoss as LSGANLoss
    from dltools.losses.adversarial.gan import LSGANLossCfg as LSGANLossCfg
    from dltools.losses.adversarial.gan import NSGANLoss as NSGANLoss
    from dltools.losses.adversarial.gan import NSGANLossCfg as NSGANLossCfg
    from dltools.losses.adversarial.gan import WGANLoss as WGANLoss
    from dltools.losses.adversarial.gan import WGANLossCfg as WGANLossCfg
    from dltools.losses.adversarial.ms_ssim import MSSSIMLoss as MSSSIMLoss
    from dltools.losses.adversarial.ms_ssim import MSSSIMLossCfg as MSSSIMLossCfg
    from dltools.losses.adversarial.penalties import gradient_penalty as gradient_penalty
    from dltools.losses.adversarial.penalties import r1_penalty as r1_penalty
    from dltools.losses.adversarial.perceptual import PerceptualLoss as PerceptualLoss
    from dltools.losses.adversarial.perceptual import PerceptualLossCfg as PerceptualLossCfg
    from dltools.losses.adversarial.ssim import SSIMLoss as SSIMLoss
    from dltools.losses.adversarial.ssim import SSIMLossCfg as SSIMLossCfg
    from dltools.losses.adversarial.style import StyleLoss as StyleLoss
    from dltools.losses.adversarial.style import StyleLossCfg as StyleLossCfg
    from dltools.losses.adversarial.tv import TVLoss as TVLoss
    from dltools.losses.adversarial.tv import TVLossCfg as TVLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
