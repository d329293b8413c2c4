"""Exact Euclidean distances between the pixels of a mask and its edge."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltools.errors import ConfigError, MissingExtraError, ShapeError, did_you_mean
from dltools.functional.min_plus import nearest_zero

Backend: TypeAlias = Literal["auto", "torch", "cv2", "edt", "scipy"]
_MODULES: dict[str, tuple[str, Callable[[], MissingExtraError]]] = {
    "cv2": ("cv2", lambda: MissingExtraError("opencv-python-headless", "augs")),
    "edt": ("edt", lambda: MissingExtraError("edt", "metrics")),
    "scipy": ("scipy.ndimage", lambda: MissingExtraError("scipy", "metrics")),
}


def distance_map(
    mask: Tensor, *, signed: bool = False, spacing: Sequence[float] | None = None, backend: Backend = "auto"
) -> Tensor:
    r"""Exact Euclidean distance of each True pixel to the nearest False one, :math:`\min_{j \notin M} \|i - j\|`.

    Args:
        mask: (N, C, *S) with up to three spatial dimensions; each (N, C) is a map by itself. Numbers are True unless 0.
        signed: outside the distance to the nearest True pixel, inside minus the distance to the nearest pixel of the
            edge: ``-(d - 1)``, or ``-d`` with a spacing.
        spacing: size of a pixel along each spatial dimension, 1 by default; distances are in its units.
        backend: cv2 (two dimensions, one spacing) and edt count in float32, scipy in float64; they leave the device.
            torch stays on it. auto takes the fastest that is installed and fits, and on an accelerator or for
            float64 torch.

    Returns the dtype of a mask of floats, else float32. A map that is all True or all False is 0 everywhere. There is
    no gradient. Raises ShapeError, ConfigError, and MissingExtraError for a named backend that is not installed.

    >>> mask = torch.tensor([[[0, 1, 1, 1, 0, 0, 0]]])
    >>> distance_map(mask)
    tensor([[[0., 1., 2., 1., 0., 0., 0.]]])
    >>> distance_map(mask, signed=True)
    tensor([[[ 1.,  0., -1.,  0.,  1.,  2.,  3.]]])

    Source: Felzenszwalb and Huttenlocher 2012, doi:10.4086/toc.2012.v008a019.
    """
    if not 2 <= mask.ndim <= 5:
        raise ShapeError(f"mask {tuple(mask.shape)}", expected="(N, C, *S) with at most 3 spatial dimensions")
    steps = _steps(mask, spacing)
    _refuse_backend(backend, mask, steps)
    known = mask.detach() if mask.dtype == torch.bool else mask.detach() != 0
    dtype = torch.promote_types(mask.dtype, torch.float32) if mask.is_floating_point() else torch.float32
    sides = torch.cat([known, ~known]) if signed else known
    distance: Tensor = _distances(sides, steps, backend, dtype)
    if not signed:
        return distance
    inside, outside = distance.chunk(2)
    return outside - (_to_edge(inside) if spacing is None else inside)


def both_distances(mask: Tensor, valid: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Distances inside and outside of masks (N, C, *S) of bools, as if excluded pixels were beyond the image's border.

    What stands where a pixel is excluded has no meaning.
    """
    excluded = ~valid
    sides = torch.cat([mask | excluded, ~mask | excluded])
    distance: Tensor = _distances(sides, [1.0] * (mask.ndim - 2), "auto", dtype)
    inside, outside = distance.chunk(2)
    return inside, outside


def signed_distance(mask: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
    """``distance_map(mask, signed=True)``, as if excluded pixels were beyond the image's border."""
    inside, outside = both_distances(mask, valid, dtype)
    return outside - _to_edge(inside)


def _to_edge(inside: Tensor) -> Tensor:
    return (inside - 1).clamp_min(0)


def _steps(mask: Tensor, spacing: Sequence[float] | None) -> list[float]:
    steps = [1.0] * (mask.ndim - 2) if spacing is None else [float(step) for step in spacing]
    if len(steps) != mask.ndim - 2 or not all(0 < step < float("inf") for step in steps):
        raise ShapeError(
            f"spacing {tuple(steps)} for mask {tuple(mask.shape)}",
            expected=f"{mask.ndim - 2} finite numbers > 0, one for each spatial dimension",
        )
    return steps


def _refuse_backend(backend: str, mask: Tensor, steps: list[float]) -> None:
    legal = ("auto", "torch", *_MODULES)
    if backend not in legal:
        raise ConfigError(f"backend is {backend!r}; {did_you_mean(backend, legal)}")
    if backend == "cv2" and not _flat(mask, steps):
        raise ConfigError(
            f"backend 'cv2' for mask {tuple(mask.shape)}, spacing {tuple(steps)}",
            expected="at most 2 spatial dimensions with one spacing",
            hint="backend='auto'",
        )


def _flat(mask: Tensor, steps: Sequence[float]) -> bool:
    """Whether cv2 can do it."""
    return mask.ndim <= 4 and len(set(steps)) <= 1


@torch.library.custom_op("dltools::distances", mutates_args=())
def _distances(mask: Tensor, steps: Sequence[float], backend: str, dtype: torch.dtype) -> Tensor:
    if mask.ndim == 2 or mask.numel() == 0:
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    maps = mask.view(torch.uint8).flatten(0, 1)  # bytes, of which torch is quicker to make what follows
    full = maps.flatten(1).amin(1).view(-1, *[1] * (maps.ndim - 1))
    maps = maps & (1 - full)  # so that each map has a False, or no True
    name = _fastest(mask, steps, dtype) if backend == "auto" else backend
    if name == "torch":
        return nearest_zero(maps, steps, dtype).view(mask.shape)
    distance = torch.empty(maps.shape, dtype=torch.float64 if name == "scipy" else torch.float32)
    transform = _TRANSFORMS[name](_module(name), steps)
    for one, into in zip(maps.cpu().numpy(), distance.numpy(), strict=True):
        transform(one, into)
    return distance.to(mask.device, dtype).view(mask.shape)


@_distances.register_fake
def _(mask: Tensor, *how: Any) -> Tensor:
    return mask.new_empty(mask.shape, dtype=how[-1])


def _fastest(mask: Tensor, steps: Sequence[float], dtype: torch.dtype) -> str:
    if mask.device.type == "cpu" and dtype == torch.float32:
        if _flat(mask, steps) and _installed("cv2"):
            return "cv2"
        if _installed("edt"):
            return "edt"
    return "torch"


@cache
def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _module(name: str) -> Any:
    module, missing = _MODULES[name]
    if not _installed(name):
        raise missing()
    return importlib.import_module(module)


Transform: TypeAlias = Callable[[NDArray[np.uint8], NDArray[Any]], object]
"""Writes the distances of a map into an array."""


def _by_cv2(cv2: Any, steps: Sequence[float]) -> Transform:
    def transform(one: NDArray[np.uint8], into: NDArray[Any]) -> None:
        cv2.distanceTransform(np.atleast_2d(one), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, np.atleast_2d(into))
        into *= steps[0]

    return transform


def _by_edt(edt: Any, steps: Sequence[float]) -> Transform:
    spacing, threads = tuple(steps) if len(steps) > 1 else steps[0], torch.get_num_threads()

    def transform(one: NDArray[np.uint8], into: NDArray[Any]) -> None:
        into[...] = edt.edt(one, anisotropy=spacing, parallel=threads)

    return transform


def _by_scipy(ndimage: Any, steps: Sequence[float]) -> Transform:
    return lambda one, into: ndimage.distance_transform_edt(one, sampling=tuple(steps), distances=into)


_TRANSFORMS: dict[str, Callable[[Any, Sequence[float]], Transform]] = {
    "cv2": _by_cv2,
    "edt": _by_edt,
    "scipy": _by_scipy,
}
