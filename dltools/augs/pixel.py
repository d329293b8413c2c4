"""Pixel values: how far they are changed; what is drawn from that stands in a plan, and is applied here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Le, Lt
from numpy.typing import NDArray

from dltools.augs.base import JSON
from dltools.augs.color import color_matrix, curve
from dltools.augs.matrix import Size
from dltools.augs.resample import opencv
from dltools.cfgutils.annotations import NonNegative, Unit
from dltools.cfgutils.record import Record
from dltools.errors import ConfigError
from dltools.rng import Key

Array = NDArray[Any]
DRAWS = 28
"""Uniform numbers that the changes of one image are made of."""


class PixelCfg(Record):
    """How far pixel values are changed, each op for half of the images. Ranges are symmetric; None is the strength's
    own number.

    Values are shares of full scale: 255 for uint8, 1 for float32 images, which are expected in 0..1 and clipped to it
    by these ops.
    """

    brightness: Unit | None = None
    """Added to every value."""
    contrast: Annotated[NonNegative, Lt(1)] | None = None
    """0.2: distances from mid-grey times 0.8 to 1.2."""
    saturation: Annotated[NonNegative, Lt(1)] | None = None
    """0.2: distances from the pixel's grey times 0.8 to 1.2 (3 channels)."""
    hue: Annotated[NonNegative, Le(0.5)] | None = None
    """Turn about the grey axis, as a share of the colour circle (3 channels)."""
    gamma: NonNegative | None = None
    """1: exponents of 1/2 to 2."""
    grayscale: Unit | None = None
    """Probability that colour is lost (3 channels)."""
    blur: NonNegative | None = None
    """Greatest standard deviation of a Gaussian blur, in pixels."""
    noise: Unit | None = None
    """Greatest standard deviation of Gaussian noise."""
    jpeg: tuple[int, int] | None = None
    """Least and greatest quality of a JPEG compression (1 or 3 channels); (100, 100) is none."""
    posterize: Unit | None = None
    """Probability that values are cut to 4 to 7 bits."""
    dropout: Annotated[NonNegative, Lt(1)] | None = None
    """Greatest share of the image that a black rectangle covers."""

    def __post_init__(self) -> None:
        low, high = self.jpeg or (1, 100)
        if not 1 <= low <= high <= 100:
            raise ConfigError(f"jpeg is ({low}, {high})", expected="qualities, 1 <= least <= greatest <= 100")


def draw_pixels(cfg: PixelCfg, size: Size, color: bool, draws: Sequence[float], key: Key) -> dict[str, JSON]:
    """What happens to one image: only the ops that do something, with their numbers.

    ``cfg`` has every number; ``size``: of the canvas (H, W); ``color``: it has 3 channels; ``draws``: ``DRAWS`` numbers
    in 0..1; ``key``: of the noise.
    """
    on = [u < 0.5 for u in draws[:9]]
    u = draws[9:]

    def signed(op: int, bound: float | None) -> float:
        return (2 * u[op] - 1) * (bound or 0) if on[op] else 0.0

    plan: dict[str, JSON] = {}
    bits = 4 + int(4 * u[10]) if u[9] < (cfg.posterize or 0) else 8
    gain, offset = 1 + signed(1, cfg.contrast), signed(0, cfg.brightness)
    gamma = (1 + (cfg.gamma or 0)) ** signed(4, 1)
    if (gain, offset, gamma, bits) != (1, 0, 1, 8):
        plan["curve"] = [gain, offset, gamma, bits]
    saturation = 0.0 if u[11] < (cfg.grayscale or 0) else 1 + signed(2, cfg.saturation)
    hue = signed(3, cfg.hue)
    if color and (saturation, hue) != (1, 0):
        plan["color"] = color_matrix(saturation, hue).tolist()
    if on[5] and cfg.blur:
        plan["blur"] = u[5] * cfg.blur
    if on[6] and cfg.noise:
        plan["noise"] = {"std": u[6] * cfg.noise, "key": key.fold("noise").hex()}
    low, high = cfg.jpeg or (100, 100)
    if on[7] and low < 100:
        plan["jpeg"] = low + int(u[7] * (high - low + 1))
    if on[8] and cfg.dropout:
        plan["dropout"] = _rectangle(u[8] * cfg.dropout, size, u[12:15])
    return plan


def _rectangle(area: float, size: Size, draws: Sequence[float]) -> list[JSON]:
    """x1 y1 x2 y2 of a rectangle that covers a share of a canvas, up to three times as wide or high as the canvas
    is."""
    area = max(area, 1e-6)
    shape = min(max(3 ** (2 * draws[0] - 1), area), 1 / area)
    width, height = (
        max(1, round(side)) for side in (size[1] * math.sqrt(area * shape), size[0] * math.sqrt(area / shape))
    )
    x, y = int(draws[1] * (size[1] - width + 1)), int(draws[2] * (size[0] - height + 1))
    return [x, y, x + width, y + height]


def change_pixels(image: Array, plan: Mapping[str, Any]) -> Array:
    """An image (H, W[, C]), uint8 or float32, after the ops of a plan; the input is not written to."""
    if "color" in plan:
        image = np.asarray(opencv().transform(image, np.array(plan["color"])))
        image = image if image.dtype == np.uint8 else image.clip(0, 1)
    if "curve" in plan:
        image = curve(image, *plan["curve"])
    if "blur" in plan:
        image = np.asarray(opencv().GaussianBlur(image, (0, 0), plan["blur"])).reshape(image.shape)
    if "noise" in plan:
        image = _noisy(image, plan["noise"]["std"], Key.from_hex(plan["noise"]["key"]))
    if "jpeg" in plan and image.ndim == 3 and image.shape[2] in (1, 3):
        image = _recompressed(image, plan["jpeg"])
    if "dropout" in plan:
        x1, y1, x2, y2 = plan["dropout"]
        image = image.copy()
        image[y1:y2, x1:x2] = 0
    return image


def _noisy(image: Array, std: float, key: Key) -> Array:
    noise = key.numpy().standard_normal(image.shape, dtype=np.float32)
    full = 255 if image.dtype == np.uint8 else 1
    noise *= np.float32(std * full)
    noise += image
    np.clip(noise, 0, full, out=noise)
    return np.rint(noise).astype(np.uint8) if full == 255 else noise


def _recompressed(image: Array, quality: int) -> Array:
    """Through a JPEG file and back."""
    cv2 = opencv()
    if image.dtype != np.uint8:
        low_depth = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
        return _recompressed(low_depth, quality).astype(np.float32) / np.float32(255)
    _, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED)).reshape(image.shape)[..., ::-1]
