"""Surfaces of masks as points with weights, and the distances between two of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from dltools.errors import MissingExtraError
from dltools.functional.distance import distance_map
from dltools.meters.report import Array

Convention = Literal["pixel", "surfel"]
VOXELS_PER_POINT = 100
"""Up to this many a map of all distances is quicker than a search for each point."""


class Surface(NamedTuple):
    """Where a mask ends: places in pixels (n, D), and how much surface each stands for (n,)."""

    places: Array
    weights: Array


class Distances(NamedTuple):
    """From each point of one surface to the nearest of the other."""

    to_other: Array
    weights: Array

    def percentile(self, percent: float, convention: Convention) -> float:
        """Linear between points for pixels; for surfels the first distance whose share of the surface reaches it."""
        if convention == "pixel":
            return float(np.percentile(self.to_other, percent))
        order = np.argsort(self.to_other)
        share = self.weights[order].cumsum() / self.weights.sum()
        place = min(int(np.searchsorted(share, percent / 100)), len(order) - 1)
        return float(self.to_other[order][place])

    def within(self, tolerance: float) -> float:
        """How much of the surface is that near."""
        return float(self.weights[self.to_other <= tolerance].sum())


def surface_of(mask: Array, convention: Convention, spacing: Sequence[float]) -> Surface:
    """The surface of a mask inside of background.

    pixel: pixels of the mask with a neighbour (4 in two dimensions, 6 in three) outside. surfel: places between pixels
    where the mask changes, with the length or area of the surface there.

    >>> surface_of(np.ones((3, 3), bool), "pixel", (1.0, 1.0)).places.tolist()
    [[0, 0], [0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1], [2, 2]]
    """
    padded = np.pad(mask, 1)
    if convention == "pixel":
        inside = mask.copy()
        for axis in range(mask.ndim):
            for side in (slice(None, -2), slice(2, None)):
                inside &= padded[tuple(side if d == axis else slice(1, -1) for d in range(mask.ndim))]
        places = np.argwhere(mask & ~inside)
        return Surface(places, np.ones(len(places)))
    code = np.zeros([size + 1 for size in mask.shape], np.uint8)
    for bit, corner in enumerate(itertools.product((1, 0), repeat=mask.ndim)):
        part = tuple(slice(at, at + size + 1) for at, size in zip(corner, mask.shape, strict=True))
        code |= padded[part].astype(np.uint8) << bit
    places = np.argwhere((code > 0) & (code < 2 ** (2**mask.ndim) - 1))
    return Surface(places, sizes(tuple(spacing))[code[tuple(places.T)]])


@lru_cache(maxsize=16)
def sizes(spacing: tuple[float, ...]) -> Array:
    """Length or area of the surface within each of the 16 or 256 patterns of neighbouring pixels.

    Of the two ways in which marching cubes close a pattern and its complement the smaller counts.
    """
    number = 2 ** (2 ** len(spacing))
    made = np.zeros(number)
    for code in range(1, number - 1):
        corners = np.array([code >> bit & 1 for bit in range(2 ** len(spacing))], float)
        made[code] = _size(corners[::-1].reshape([2] * len(spacing)), spacing)
    return np.minimum(made, made[::-1])


def _size(corners: Array, spacing: tuple[float, ...]) -> float:
    if len(spacing) == 2:
        rows, columns = corners.sum(1), corners.sum(0)
        if set(rows) == {0, 2}:
            return spacing[1]
        if set(columns) == {0, 2}:
            return spacing[0]
        half = float(np.hypot(*spacing)) / 2
        return 2 * half if corners.sum() == 2 else half
    try:
        from skimage.measure import marching_cubes, mesh_surface_area
    except ImportError as error:
        raise MissingExtraError("scikit-image", "data") from error
    march: Any = marching_cubes
    measure: Any = mesh_surface_area
    vertices, faces, *_ = march(corners, 0.5, spacing=spacing, method="lorensen")
    return float(measure(vertices, faces))


def between(first: Surface, second: Surface, spacing: Sequence[float]) -> tuple[Distances, Distances]:
    """Distances of both surfaces, neither of them empty, from each other."""
    there = Distances(_nearest(first, second, spacing), first.weights)
    return there, Distances(_nearest(second, first, spacing), second.weights)


def _nearest(x: Surface, y: Surface, spacing: Sequence[float]) -> Array:
    """From each point of ``x`` to the nearest of ``y``."""
    size = np.maximum(x.places.max(0), y.places.max(0)) + 1
    is_exact = len(size) == 3 and len(set(spacing)) == 1 and (size**2).sum() < 2**24
    if is_exact and size.prod() < VOXELS_PER_POINT * len(x.places):
        with suppress(ImportError):
            return _by_squares(x, y, size) * spacing[0]
    with suppress(ImportError):
        return _by_tree(x, y, spacing)
    free = torch.ones([1, 1, *size.tolist()], dtype=torch.float64)
    free[(0, 0, *torch.from_numpy(y.places.T))] = 0
    distances: Array = distance_map(free, spacing=spacing)[(0, 0, *torch.from_numpy(x.places.T))].numpy()
    return distances


def _by_squares(x: Surface, y: Surface, size: Array) -> Array:
    """By the squares of all voxels' distances: integers, that float32 holds."""
    import edt

    free = np.ones(size, np.uint8)
    free[tuple(y.places.T)] = 0
    squares = edt.edtsq(free, parallel=torch.get_num_threads())[tuple(x.places.T)]
    root: Array = np.sqrt(squares, dtype=np.float64)
    return root


def _by_tree(x: Surface, y: Surface, spacing: Sequence[float]) -> Array:
    from scipy.spatial import cKDTree

    step = np.asarray(spacing, np.float64)
    tree = cKDTree(y.places * step, balanced_tree=False)
    nearest: Array = np.asarray(tree.query(x.places * step, workers=torch.get_num_threads())[0])
    return nearest
