"""Text as pixels: matplotlib's own font, drawn by FreeType straight into an array."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dltools.errors import MissingExtraError

Coverage = NDArray[np.float32]
HALF = np.float32(0.5)
CAPITAL = 0.73
"""Height of a capital letter, as a share of the size of the font."""


@cache
def lettering(text: str, pixels: int) -> Coverage:
    """How much of each pixel the text covers, 0 to 1; ``pixels`` is the size of the font.

    As wide as the ink. The middle row is half-way up a capital letter, so that texts side by side have one baseline.
    """
    try:
        import matplotlib as mpl
        from matplotlib.ft2font import FT2Font
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot") from error
    font = FT2Font(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    font.set_size(pixels, 72)
    font.set_text(text)
    font.draw_glyphs_to_bitmap()
    ink: Coverage = np.asarray(font.get_image(), np.float32) / np.float32(255)
    if not ink.size:
        return np.zeros((1, 1), np.float32)
    middle = round(len(ink) - font.get_descent() / 64 - CAPITAL * pixels / 2)
    half = max(middle, len(ink) - middle)
    return np.pad(ink, ((half - middle, half - (len(ink) - middle)), (0, 0)))


def put_text(canvas: NDArray[np.uint8], ink: Coverage, center: tuple[float, float], color: NDArray[np.float32]) -> None:
    """Blend a text into ``(H, W, 3)`` bytes around a (row, column); what falls outside is cut."""
    height, width = ink.shape
    top, left = round(center[0] - height / 2), round(center[1] - width / 2)
    cut_top, cut_left = max(0, -top), max(0, -left)
    place = canvas[top + cut_top : max(0, top + height), left + cut_left : max(0, left + width)]
    if place.size:
        share = ink[cut_top : cut_top + place.shape[0], cut_left : cut_left + place.shape[1], None]
        place[:] = place + share * (color - place) + HALF  # what follows the point is cut
