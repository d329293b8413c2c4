from __future__ import annotations

import math

import numpy as np
import pytest

from dltools.augs.geometry import DRAWS, GeometryCfg, draw_matrix
from dltools.augs.matrix import Affine, Fit, fitted, jittered, tilted
from dltools.errors import ConfigError

RNG = np.random.default_rng(1)


def full(affine: Affine) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([*affine, 0, 0, 1]).reshape(3, 3)


def test_jitter_is_scale_then_shear_then_turn_about_the_centre_then_move() -> None:
    angle, x, y = math.radians(20), math.radians(5), math.radians(-3)
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    shear = np.array([[1, math.tan(x), 0], [math.tan(y), 1, 0], [0, 0, 1]])
    centre, back = np.array([[1, 0, 10], [0, 1, 5], [0, 0, 1]]), np.array([[1, 0, -10], [0, 1, -5], [0, 0, 1]])
    move = np.array([[1, 0, 0.1 * 20], [0, 1, -0.2 * 10], [0, 0, 1]])
    expected = move @ centre @ turn @ shear @ np.diag([1.3, 1.3, 1]) @ back
    np.testing.assert_allclose(full(jittered((10, 20), 20, 1.3, (5, -3), (0.1, -0.2))), expected, atol=1e-12)


def test_a_tilt_moves_the_corners_by_their_shares() -> None:
    shifts = RNG.uniform(-0.1, 0.1, 8)
    corners = np.array([[0, 0, 1], [20, 0, 1], [20, 10, 1], [0, 10, 1]])
    moved = corners @ tilted((10, 20), shifts.tolist()).T
    expected = corners[:, :2] + shifts.reshape(4, 2) * [20, 10]
    np.testing.assert_allclose(moved[:, :2] / moved[:, 2:], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("fit", "low", "high"), [("stretch", [0, 0], [20, 10]), ("cover", [0, -5], [20, 15]), ("contain", [5, 0], [15, 10])]
)
def test_fits(fit: Fit, low: list[float], high: list[float]) -> None:
    matrix = full(fitted((3.0, 4.0, 50.0, 50.0), (10, 20), fit))
    np.testing.assert_allclose((matrix @ [3, 4, 1])[:2], low, atol=1e-12)
    np.testing.assert_allclose((matrix @ [53, 54, 1])[:2], high, atol=1e-12)


def test_nothing_drawn_is_the_identity_to_the_last_bit() -> None:
    for _ in range(20):
        assert draw_matrix(GeometryCfg(), (9, 7), (9, 7), "stretch", RNG.random(DRAWS).tolist()) == np.eye(3).tolist()


def test_crops_have_the_area_drawn_and_stay_inside() -> None:
    cfg = GeometryCfg(crop_scale=(0.3, 0.9), crop_ratio=(0.5, 2.0))
    for _ in range(200):
        matrix = np.array(draw_matrix(cfg, (60, 100), (32, 32), "stretch", RNG.random(DRAWS).tolist()))
        seen = (np.linalg.inv(matrix) @ np.array([[0, 0, 1], [32, 32, 1]]).T).T[:, :2]
        assert (seen > -1e-9).all()
        assert (seen < np.array([100, 60]) + 1e-9).all()
        assert 0.3 - 1e-9 <= np.prod(seen[1] - seen[0]) / 6000 <= 0.9 + 1e-9


def test_ranges_are_reached_and_kept() -> None:
    cfg = GeometryCfg(rotate=10.0, scale=0.125)
    drawn = np.array([draw_matrix(cfg, (8, 8), (8, 8), "stretch", RNG.random(DRAWS).tolist()) for _ in range(2000)])
    angles = np.degrees(np.arctan2(drawn[:, 1, 0], drawn[:, 0, 0]))
    sizes = np.hypot(drawn[:, 1, 0], drawn[:, 0, 0])
    assert 9.9 < angles.max() <= 10 + 1e-9
    assert -10 - 1e-9 <= angles.min() < -9.9
    assert 0.875 - 1e-9 <= sizes.min() < 0.876
    assert 1.124 < sizes.max() <= 1.125 + 1e-9
    np.testing.assert_allclose((drawn @ [4, 4, 1])[:, :2], 4, atol=1e-9)  # about the centre


def test_flips_and_turns_come_as_often_as_asked() -> None:
    cfg = GeometryCfg(hflip=0.25, rot90=0.5)
    drawn = [draw_matrix(cfg, (8, 8), (8, 8), "stretch", RNG.random(DRAWS).tolist()) for _ in range(4000)]
    assert abs(np.mean(np.linalg.det(drawn) < 0) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)
    assert len({str(np.abs(matrix)) for matrix in drawn}) >= 2


@pytest.mark.parametrize(
    "fields", [{"crop_scale": (0.9, 0.5)}, {"crop_scale": (0.5, 1.5)}, {"crop_ratio": (0.0, 1.0)}, {"hflip": 1.5}]
)
def test_impossible_numbers(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        GeometryCfg(**fields)
