"""Losses of segmentation: regions, boundaries, shapes."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.segmentation import boundary as boundary
    from dltools.losses.segmentation import geometric as geometric
    from dltools.losses.segmentation import region as region
    from dltools.losses.segmentation import utils as utils
else:
    __getattr__, __dir__ = lazy(__name__)
