"""Images against scikit-image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dltools.cfgutils import build
from dltools.errors import ConfigError, ShapeError
from dltools.metrics import PSNR, SSIM, PSNRCfg, SSIMCfg
from tests.hostreads import count_host_reads


def images(seed: int, dtype: Any) -> tuple[Any, Any, float]:
    rng = np.random.default_rng(seed)
    y = rng.random((4, 2, 14, 13))
    p = np.clip(y + rng.normal(0, 0.1, y.shape), 0, 1)
    return ((p * 255).astype(dtype), (y * 255).astype(dtype), 255.0) if dtype == np.uint8 else (p, y, 1.0)


@given(st.integers(0, 10**6), st.sampled_from([np.uint8, np.float64]))
def test_values(seed: int, dtype: Any) -> None:
    p, y, most = images(seed, dtype)
    psnr, ssim = PSNR(max_value=most), SSIM(max_value=most)
    with count_host_reads() as reads:
        for metric in (psnr, ssim):
            metric.update(torch.from_numpy(p[:1]), torch.from_numpy(y[:1]))
            metric.update(torch.from_numpy(p[1:]), torch.from_numpy(y[1:]))
    assert reads.count == 0
    expected = np.mean([peak_signal_noise_ratio(b, a, data_range=most) for a, b in zip(p, y, strict=True)])
    assert psnr.compute()["psnr"] == pytest.approx(expected, rel=1e-12)
    each = []
    for a, b in zip(p.astype(float), y.astype(float), strict=True):
        for c in range(2):
            found = structural_similarity(
                a[c], b[c], data_range=most, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
            )[1]
            each.append(found[5:-5, 5:-5].mean())
    assert ssim.compute()["ssim"] == pytest.approx(np.mean(each), rel=1e-9)


def test_equal_images() -> None:
    x = torch.rand(2, 1, 12, 12)
    for metric, value in ((PSNR(), math.inf), (SSIM(), 1.0)):
        metric.update(x, x)
        assert metric.compute()[metric.lone_name] == value


@pytest.mark.parametrize("cfg", [PSNRCfg(), SSIMCfg()], ids=lambda cfg: cfg.tag)
def test_edges(cfg: Any) -> None:
    metric, other = build(cfg), build(cfg)
    name = metric.lone_name
    assert math.isnan(metric.compute()[name])
    p, y, _ = images(0, np.float64)
    p, y = torch.from_numpy(p), torch.from_numpy(y)
    other.update(p[:2], y[:2])
    p[2:] = math.nan
    metric.update(p, y, valid=torch.tensor([True, True, False, False]))
    assert metric.compute() == other.compute()
    metric.update(p[2:], y[2:])
    with pytest.warns(UserWarning, match="2 elements"):
        assert math.isnan(metric.compute()[name])
    with pytest.raises(ShapeError, match="images"):
        metric.update(torch.zeros(2, 12, 12), torch.zeros(2, 1, 12, 12))


def test_windows() -> None:
    with pytest.raises(ConfigError, match="window is 4"):
        SSIMCfg(window=4)
    with pytest.raises(ShapeError, match="at least 11"):
        SSIM().update(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
