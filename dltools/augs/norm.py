"""Normalisation of images to a known mean and spread."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dltools.cfgutils.record import Record
from dltools.errors import ConfigError, ShapeError

Floats: TypeAlias = NDArray[np.float32]


class Norm(Record):
    """(image - mean) / std per channel, in shares of full scale: 255 for uint8, 1 for float32. One number stands for
    all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise ConfigError(
                f"mean {self.mean}, std {self.std}", expected="as many of each as there are channels, std > 0"
            )


IMAGENET = Norm(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Of the photos that most pretrained networks have seen, red green blue."""


def normalized(image: NDArray[Any], norm: Norm) -> Floats:
    """An image (H, W[, C]) in float32, normalised.

    >>> normalized(np.full((1, 1, 1), 255, np.uint8), Norm(mean=(0.5,), std=(0.25,))).item()
    2.0

    Raises ShapeError if the image has another number of channels.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    if len(norm.mean) not in (1, channels):
        raise ShapeError(
            f"an image of {channels} channels, a norm of {len(norm.mean)}",
            expected="the same number",
            hint="normalize=Norm(mean=(...), std=(...)) with this image's channels, or normalize=None",
        )
    scale, offset = _line(norm.mean, norm.std, 255 if image.dtype == np.uint8 else 1)
    out: Floats = image * scale
    out += offset
    return out


@cache
def _line(mean: tuple[float, ...], std: tuple[float, ...], full: int) -> tuple[Floats, Floats]:
    """Factor and summand of each channel."""
    scale = 1 / (full * np.array(std, dtype=np.float64))
    return scale.astype(np.float32), (-np.array(mean) / std).astype(np.float32)
