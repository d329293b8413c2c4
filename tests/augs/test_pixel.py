"""Changes of pixel values, each against its formula."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dltools.augs.color import LUMA, color_matrix, curve
from dltools.augs.pixel import DRAWS, PixelCfg, change_pixels, draw_pixels
from dltools.augs.strengths import PLAIN
from dltools.errors import ConfigError
from dltools.rng import key

RNG = np.random.default_rng(4)
KEY = key(0)
LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def drawn(n: int, color: bool = True, **fields: Any) -> list[dict[str, Any]]:
    """Plans of many images whose only ops are those given."""
    cfg = PLAIN.replace(**fields)
    return [draw_pixels(cfg, (20, 30), color, RNG.random(DRAWS).tolist(), KEY) for _ in range(n)]


@pytest.mark.parametrize(
    ("gain", "offset", "gamma", "bits"),
    [
        (1.0, 0.2, 1.0, 8),
        (1.0, -0.35, 1.0, 8),
        (1.3, 0.0, 1.0, 8),
        (0.7, 0.1, 1.0, 8),
        (1.0, 0.0, 2.0, 8),
        (1.0, 0.0, 1.0, 4),
        (0.9, 0.1, 0.5, 6),
    ],
)
def test_curves(gain: float, offset: float, gamma: float, bits: int) -> None:
    for level in range(256):
        y = min(max((level / 255 - 0.5) * gain + 0.5 + offset, 0.0), 1.0) ** gamma
        expected = round(y * 255)
        if bits < 8:
            expected = expected >> (8 - bits) << (8 - bits)
        found = int(curve(np.full((1, 1), level, np.uint8), gain, offset, gamma, bits)[0, 0])
        as_float = curve(np.full((1, 1), level / 255, np.float32), gain, offset, gamma, bits)
        assert as_float.dtype == np.float32
        near_half = abs(y * 255 % 1 - 0.5) < 1e-4
        assert found == expected or near_half
        assert as_float.item() == pytest.approx(expected / 255 if bits < 8 else y, abs=1e-6) or near_half


def test_grey_is_luma_and_a_full_turn_of_hue_is_none() -> None:
    np.testing.assert_allclose(color_matrix(0, 0.3), np.tile(LUMA, (3, 1)), atol=1e-12)
    np.testing.assert_allclose(color_matrix(1, 0), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(color_matrix(1, 1), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.linalg.matrix_power(color_matrix(1, 0.25), 4), np.eye(3), atol=1e-12)
    for saturation, hue in [(0.8, 0.1), (1.2, -0.05)]:
        matrix = color_matrix(saturation, hue)
        np.testing.assert_allclose(matrix @ np.ones(3), np.ones(3), atol=1e-3)  # grey stays grey
        np.testing.assert_allclose(LUMA @ matrix, LUMA, atol=1e-12)  # and every colour as bright as it was
    rgb = RNG.random(3)
    np.testing.assert_allclose(color_matrix(0.5, 0) @ rgb, LUMA @ rgb + 0.5 * (rgb - LUMA @ rgb), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_colours_by_definition(dtype: type) -> None:
    image = (RNG.random((9, 7, 3)) * (255 if dtype is np.uint8 else 1)).astype(dtype)
    matrix = color_matrix(1.3, 0.1)
    expected = np.clip(image.astype(np.float64) @ matrix.T, 0, 255 if dtype is np.uint8 else 1)
    out = change_pixels(image, {"color": matrix.tolist()})
    assert out.dtype == dtype
    np.testing.assert_allclose(
        out, np.rint(expected) if dtype is np.uint8 else expected, atol=1 if dtype is np.uint8 else 1e-6
    )


def gaussian_blur(image: NDArray[Any], sigma: float) -> NDArray[np.float64]:
    """By definition, with the image mirrored at its edges, the edge itself not repeated."""
    radius = 12
    weights = np.array([math.exp(-(i**2) / (2 * sigma**2)) for i in range(-radius, radius + 1)])
    weights /= weights.sum()
    out = image.astype(np.float64)
    for axis in (0, 1):
        pad = [(radius, radius) if a == axis else (0, 0) for a in range(out.ndim)]
        padded = np.pad(out, pad, mode="reflect")
        length = out.shape[axis]
        out = sum(w * np.take(padded, range(i, i + length), axis) for i, w in enumerate(weights))
    return out


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 1), (20, 24, 3)])
def test_blur_is_gaussian(shape: tuple[int, ...]) -> None:
    image = RNG.random(shape).astype(np.float32)
    out = change_pixels(image, {"blur": 1.5})
    assert out.shape == shape
    np.testing.assert_allclose(out, gaussian_blur(image, 1.5), atol=5e-4)  # OpenCV's kernel ends at 4 sigma


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_noise_has_its_spread_and_its_key(dtype: type) -> None:
    full = 255 if dtype is np.uint8 else 1
    image = np.full((200, 200, 1), full * 0.5).astype(dtype)
    plan = {"noise": {"std": 0.05, "key": key(3).hex()}}
    out = change_pixels(image, plan)
    assert out.dtype == dtype
    spread = (out.astype(np.float64) - image) / full
    assert abs(spread.mean()) < 4 * 0.05 / 200
    rounding = 1 / 12 / 255**2 if dtype is np.uint8 else 0
    assert spread.std() == pytest.approx(math.sqrt(0.05**2 + rounding), rel=4 / math.sqrt(2 * 40000))
    assert np.array_equal(out, change_pixels(image, plan))
    assert not np.array_equal(out, change_pixels(image, {"noise": {"std": 0.05, "key": key(4).hex()}}))


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_opencvs(channels: int) -> None:
    image = cv2.resize((RNG.random((4, 4, channels)) * 255).astype(np.uint8), (32, 32)).reshape(32, 32, channels)
    _, file = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 60])
    expected = cv2.imdecode(file, cv2.IMREAD_UNCHANGED).reshape(image.shape)[..., ::-1]  # type: ignore[union-attr]
    assert np.array_equal(change_pixels(image, {"jpeg": 60}), expected)
    as_float = change_pixels((image / 255).astype(np.float32), {"jpeg": 60})
    np.testing.assert_allclose(as_float, expected / 255, atol=1e-6)
    assert np.array_equal(change_pixels(LEVELS, {"jpeg": 60}), LEVELS)  # without channels: as it was


def test_dropout_blackens_its_rectangle_and_copies_the_image() -> None:
    image = np.ones((20, 30, 3), np.uint8)
    out = change_pixels(image, {"dropout": [3, 4, 10, 9]})
    expected = np.ones_like(image)
    expected[4:9, 3:10] = 0
    assert np.array_equal(out, expected)
    assert (image == 1).all()


def test_each_op_comes_for_half_of_the_images_and_within_its_range() -> None:
    n, slack = 2000, 4 * math.sqrt(0.25 * 2000)
    brightness = [plan["curve"] for plan in drawn(n, brightness=0.2) if plan]
    assert abs(len(brightness) - n / 2) < slack
    offsets = np.array([offset for _, offset, *_ in brightness])
    assert np.abs(offsets).max() <= 0.2
    assert offsets.min() < -0.19
    assert offsets.max() > 0.19
    gains = np.array([plan["curve"][0] for plan in drawn(n, contrast=0.3) if plan])
    assert 0.7 <= gains.min() < 0.71 < 1.29 < gains.max() <= 1.3
    gammas = np.array([plan["curve"][2] for plan in drawn(n, gamma=1.0) if plan])
    assert 0.5 <= gammas.min() < 0.51 < 1.95 < gammas.max() <= 2
    blurs = [plan["blur"] for plan in drawn(n, blur=1.5) if plan]
    assert 0 <= min(blurs) < 0.02 < 1.48 < max(blurs) <= 1.5
    assert abs(len(blurs) - n / 2) < slack
    qualities = [plan["jpeg"] for plan in drawn(n, jpeg=(50, 95)) if plan]
    assert set(qualities) == set(range(50, 96))
    stds = [plan["noise"]["std"] for plan in drawn(n, noise=0.1) if plan]
    assert 0 <= min(stds) < 0.002 < 0.098 < max(stds) <= 0.1


def test_posterize_and_grayscale_have_probabilities_of_their_own() -> None:
    n, slack = 2000, 4 * math.sqrt(0.1 * 0.9 * 2000)
    bits = [plan["curve"][3] for plan in drawn(n, posterize=0.1) if plan]
    assert abs(len(bits) - 0.1 * n) < slack
    assert set(bits) == {4, 5, 6, 7}
    grey = [plan["color"] for plan in drawn(n, grayscale=0.1) if plan]
    assert abs(len(grey) - 0.1 * n) < slack
    np.testing.assert_allclose(grey, np.broadcast_to(LUMA, (len(grey), 3, 3)), atol=1e-12)
    assert not any(drawn(200, color=False, grayscale=1.0, saturation=0.5, hue=0.5))


def test_dropout_covers_up_to_its_share() -> None:
    rectangles = np.array([plan["dropout"] for plan in drawn(2000, dropout=0.25) if plan])
    width, height = rectangles[:, 2] - rectangles[:, 0], rectangles[:, 3] - rectangles[:, 1]
    assert (rectangles[:, :2] >= 0).all()
    assert (rectangles[:, 2:] <= [30, 20]).all()
    assert width.min() >= 1
    assert height.min() >= 1
    shares = width * height / 600
    assert 0.2 < shares.max() < 0.28  # sides are rounded to pixels
    assert shares.mean() == pytest.approx(0.125, abs=0.01)


def test_nothing_asked_for_is_nothing_done() -> None:
    assert drawn(50) == [{}] * 50
    assert change_pixels(LEVELS, {}) is LEVELS


@pytest.mark.parametrize(
    "fields",
    [
        {"jpeg": (0, 50)},
        {"jpeg": (90, 50)},
        {"jpeg": (50, 101)},
        {"brightness": 1.5},
        {"hue": 0.6},
        {"noise": -0.1},
        {"contrast": 1.0},
    ],
)
def test_impossible_numbers(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PixelCfg(**fields)
