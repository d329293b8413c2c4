"""Losses of segmentation: regions, boundaries, shapes."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.losses.segmentation import region as region
else:
    __getattr__, __dir__ = lazy(__name__)
