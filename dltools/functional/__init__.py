"""Pure functions of tensors that several areas use."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.functional.boxes import box_area as box_area
    from dltools.functional.boxes import box_ciou as box_ciou
    from dltools.functional.boxes import box_convert as box_convert
    from dltools.functional.boxes import box_diou as box_diou
    from dltools.functional.boxes import box_giou as box_giou
    from dltools.functional.boxes import box_iou as box_iou
    from dltools.functional.distance import distance_map as distance_map
    from dltools.functional.edges import soft_edges as soft_edges
    from dltools.functional.imbalance import class_weights as class_weights
    from dltools.functional.linear_ce import linear_cross_entropy as linear_cross_entropy
    from dltools.functional.overlap import OnePass as OnePass
    from dltools.functional.overlap import OverlapCounts as OverlapCounts
    from dltools.functional.overlap import hard_counts as hard_counts
    from dltools.functional.overlap import one_pass as one_pass
    from dltools.functional.ssim import Similarity as Similarity
    from dltools.functional.ssim import structural_similarity as structural_similarity
    from dltools.functional.sums import ratio as ratio
else:
    __getattr__, __dir__ = lazy(__name__)
