"""Pictures as PNG and JPEG bytes, and figures as pictures."""

from __future__ import annotations

import importlib.util
import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from dltools.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]
ImageFormat = Literal["png", "jpg", "none"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 3: 2, 4: 6}
"""PNG's number for grey, RGB and RGBA."""
SUB_FILTER = 1


def check_format(format: ImageFormat) -> None:
    """A MissingExtraError where JPEG is wanted without OpenCV."""
    if format == "jpg" and importlib.util.find_spec("cv2") is None:
        raise MissingExtraError("opencv-python-headless", "plot")


def encode_image(pixels: Pixels, format: ImageFormat) -> bytes:
    """``(H, W, 1|3|4)`` bytes as a file: PNG without loss, JPEG at quality 90 without transparency."""
    if format == "png":
        return encode_png(pixels)
    check_format(format)
    import cv2

    order = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGR}[pixels.shape[2]]
    swapped = pixels if order is None else cv2.cvtColor(pixels, order)
    done, data = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise OSError(f"an image of shape {pixels.shape} cannot be encoded as {format}")
    return bytes(data)


def encode_png(pixels: Pixels) -> bytes:
    """PNG, faster than OpenCV's: each byte less its left neighbour (the Sub filter), then zlib's fastest level."""
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    filtered = np.empty((height, 1 + width * channels), np.uint8)
    filtered[:, 0] = SUB_FILTER
    filtered[:, 1 : 1 + channels] = rows[:, :channels]
    np.subtract(rows[:, channels:], rows[:, :-channels], out=filtered[:, 1 + channels :])
    header = struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 1)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def image_size(data: bytes) -> tuple[int, int, int]:
    """Height, width and channels of a PNG or JPEG, from its header."""
    if data.startswith(SIGNATURE):
        width, height, _, color = struct.unpack(">IIBB", data[16:26])
        return height, width, {number: channels for channels, number in COLOR_TYPES.items()}[color]
    at = 2
    while at + 9 < len(data):
        marker, size = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if marker in (0xC0, 0xC1, 0xC2):  # start of frame
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return height, width, data[at + 9]
        at += 2 + size
    raise ValueError("neither PNG nor JPEG")


def render(figure: Figure) -> Pixels:
    """A matplotlib figure as ``(H, W, 3)`` bytes, 4 channels where it is transparent; the figure keeps its canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if not hasattr(figure, "canvas"):
        raise ConfigError(f"figure is a {type(figure).__name__}", expected="a matplotlib figure", hint="writer.image")
    shown: Any = figure.canvas
    try:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.array(canvas.buffer_rgba(), np.uint8)
    finally:
        figure.set_canvas(shown)
    return pixels if (pixels[:, :, 3] < 255).any() else np.ascontiguousarray(pixels[:, :, :3])
