"""Losses of embeddings: pairs, triplets, contrasts, margins between classes."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.metric_learning.arc_face import ArcFaceLoss as ArcFaceLoss
    from dltools.losses.metric_learning.arc_face import ArcFaceLossCfg as ArcFaceLossCfg
    from dltools.losses.metric_learning.contrastive import ContrastiveLoss as ContrastiveLoss
    from dltools.losses.metric_learning.contrastive import ContrastiveLossCfg as ContrastiveLossCfg
    from dltools.losses.metric_learning.cos_face import CosFaceLoss as CosFaceLoss
    from dltools.losses.metric_learning.cos_face import CosFaceLossCfg as CosFaceLossCfg
    from dltools.losses.metric_learning.module import ModuleLoss as ModuleLoss
    from dltools.losses.metric_learning.module import from_module as from_module
    from dltools.losses.metric_learning.multi_similarity import MultiSimilarityLoss as MultiSimilarityLoss
    from dltools.losses.metric_learning.multi_similarity import MultiSimilarityLossCfg as MultiSimilarityLossCfg
    from dltools.losses.metric_learning.nt_xent import InfoNCELoss as InfoNCELoss
    from dltools.losses.metric_learning.nt_xent import InfoNCELossCfg as InfoNCELossCfg
    from dltools.losses.metric_learning.nt_xent import NTXentLoss as NTXentLoss
    from dltools.losses.metric_learning.nt_xent import NTXentLossCfg as NTXentLossCfg
    from dltools.losses.metric_learning.sup_con import SupConLoss as SupConLoss
    from dltools.losses.metric_learning.sup_con import SupConLossCfg as SupConLossCfg
    from dltools.losses.metric_learning.triplet import TripletLoss as TripletLoss
    from dltools.losses.metric_learning.triplet import TripletLossCfg as TripletLossCfg
else:
    __getattr__, __dir__ = lazy(__name__)
