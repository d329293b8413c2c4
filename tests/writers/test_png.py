from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from dltools.errors import ConfigError, MissingExtraError
from dltools.writers import png
from dltools.writers.png import encode_image, encode_png, image_size, render


def pixels(channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(channels).integers(0, 256, (5, 7, channels), dtype=np.uint8)


def decoded(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """As OpenCV reads it, with the channels in our order."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    if found.ndim == 2:
        return found[:, :, None].astype(np.uint8)
    return found[:, :, [2, 1, 0, 3][: found.shape[2]]].astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_is_without_loss(channels: int) -> None:
    image = pixels(channels)
    data = encode_image(image, "png")
    np.testing.assert_array_equal(decoded(data), image)
    assert image_size(data) == (5, 7, channels)


def test_png_is_as_the_standard_says() -> None:
    """Chunks with their checksums, and the Sub filter undone by hand."""
    image, data = pixels(3), encode_png(pixels(3))
    at, chunks = 8, {}
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + body),)
        chunks[kind], at = body, at + 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    raw = zlib.decompress(chunks[b"IDAT"])
    for row in range(5):
        line = raw[row * 22 : row * 22 + 22]
        assert line[0] == 1
        values = list(line[1:])
        for i in range(3, 21):
            values[i] = (values[i] + values[i - 3]) % 256
        assert values == image[row].ravel().tolist()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jpeg_is_close(channels: int) -> None:
    image = np.full((16, 16, channels), 100, np.uint8)
    image[..., 0] = 200
    data = encode_image(image, "jpg")
    assert image_size(data) == (16, 16, 1 if channels == 1 else 3)
    assert abs(decoded(data).astype(int) - image[:, :, :3]).max() <= 3


def test_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png.importlib.util, "find_spec", lambda name: None)
    assert encode_image(pixels(3), "png") == encode_png(pixels(3))
    with pytest.raises(MissingExtraError, match=r'pip install "dltools\[plot\]"'):
        encode_image(pixels(3), "jpg")


@pytest.mark.parametrize("bad", [b"", b"\xff\xd8", b"GIF89a" + b"\x00" * 40])
def test_no_picture(bad: bytes) -> None:
    with pytest.raises(ValueError, match="neither"):
        image_size(bad)


def test_an_array_is_no_figure() -> None:
    with pytest.raises(ConfigError, match="figure is a ndarray. Expected a matplotlib figure. Hint: writer.image"):
        render(np.zeros((2, 2, 3), np.uint8))  # type: ignore[arg-type]


def test_figures() -> None:
    figure = Figure(figsize=(2, 1), dpi=50, facecolor=(1, 0, 0))
    drawn = render(figure)
    assert drawn.shape == (50, 100, 3)
    assert (drawn == [255, 0, 0]).all()
    figure.set_facecolor((0, 0, 1, 0.5))
    assert render(figure)[0, 0].tolist() == [0, 0, 255, 128]
