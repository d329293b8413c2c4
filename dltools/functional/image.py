"""One form for the images that people have: numpy or torch, grey or colour, bytes or floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dltools.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = (1, 3, 4)
"""Grey, RGB, RGBA."""


def to_image(image: NDArray[Any] | Tensor) -> NDArray[np.uint8]:
    """A copy of an image as ``(H, W, C)`` bytes, C = 1, 3 or 4 as given.

    numpy: ``(H, W)``, ``(H, W, 1|3|4)``. torch, any device: ``(H, W)``, ``(1|3|4, H, W)``. Values: uint8, bool (0 and
    255), or floats in [0, 1], which are clipped and rounded, ``round(255 x)``; NaN is 0. Anything else is a ShapeError.

    >>> to_image(np.array([[0.0, 0.5], [np.nan, 2.0]]))[:, :, 0]
    array([[  0, 128],
           [  0, 255]], dtype=uint8)
    """
    pixels = image if isinstance(image, np.ndarray) else _from_torch(image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in CHANNELS:
        raise ShapeError(
            f"image has shape {tuple(image.shape)}",
            expected="(H, W) or (H, W, 1|3|4) from numpy, (H, W) or (1|3|4, H, W) from torch",
        )
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(pixels.dtype, np.floating):
        unit = np.clip(np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
        rounded: NDArray[np.uint8] = np.rint(unit * np.float64(255)).astype(np.uint8)
        return rounded
    if pixels.dtype != np.uint8:
        raise ShapeError(f"image has dtype {pixels.dtype}", expected="uint8, bool, or floats in [0, 1]")
    return np.array(pixels, order="C")


def _from_torch(image: Tensor) -> NDArray[Any]:
    import torch

    if not isinstance(image, torch.Tensor):
        raise ShapeError(f"image is a {type(image).__name__}", expected="a numpy array or a torch tensor")
    host = image.detach().cpu()
    if host.dtype in (torch.bfloat16, torch.float16):
        host = host.float()
    return np.asarray(host.numpy() if host.ndim == 2 else host.movedim(0, -1).numpy() if host.ndim == 3 else host)
