"""What losses of segmentation are made of, for loaders and losses of one's own; weights for rare classes."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.functional.distance import distance_map as distance_map
    from dltools.functional.edges import soft_edges as soft_edges
    from dltools.functional.imbalance import class_weights as class_weights
else:
    __getattr__, __dir__ = lazy(__name__)
