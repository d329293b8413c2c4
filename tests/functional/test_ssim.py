"""Structural similarity against scikit-image and a loop over windows, in float64."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from skimage.metrics import structural_similarity as of_skimage
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ShapeError
from dltools.functional import structural_similarity
from tests.hostreads import count_host_reads


def images(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=generator, dtype=torch.float64)
    return x.to(dtype), (x + 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


def skimage(x: Tensor, y: Tensor, **fields: Any) -> float:
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0} | fields
    return float(of_skimage(x.numpy(), y.numpy(), **how))


@pytest.mark.parametrize("size", [(40,), (11, 29), (13, 14, 15)])
@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_the_mean_is_that_of_skimage(size: tuple[int, ...], data_range: float) -> None:
    x, y = (data_range * image for image in images(len(size), 2, 3, *size))
    found = structural_similarity(x, y, data_range=data_range).ssim
    assert found.shape == (2, 3, *(n - 10 for n in size))
    for n, c in itertools.product(range(2), range(3)):
        expected = skimage(x[n, c], y[n, c], data_range=data_range)
        assert found[n, c].mean().item() == pytest.approx(expected, rel=1e-11)


def test_other_windows() -> None:
    x, y = images(4, 1, 1, 30, 31)
    found = structural_similarity(x, y, window=5, sigma=0.5).ssim.mean()  # skimage cuts a Gaussian at 3.5 sigma
    assert found.item() == pytest.approx(skimage(x[0, 0], y[0, 0], sigma=0.5), rel=1e-11)


def of_window(x: Tensor, y: Tensor, weights: Tensor) -> tuple[float, float]:
    """Luminance and structure of one window, by the formulas of the paper."""
    share = weights / weights.sum()
    mean_x, mean_y = (float((share * image).sum()) for image in (x, y))
    var_x, var_y = (float((share * (image - mean) ** 2).sum()) for image, mean in ((x, mean_x), (y, mean_y)))
    both = float((share * (x - mean_x) * (y - mean_y)).sum())
    luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
    return luminance, (2 * both + 9e-4) / (var_x + var_y + 9e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_windows_see_nothing_but_valid_pixels(channels: int) -> None:
    x, y = images(5, 2, 2, 7, 8)
    valid = torch.rand(2, channels, 7, 8, generator=torch.Generator().manual_seed(1)) > 0.4
    found = structural_similarity(x, y, window=3, sigma=1.0, valid=valid)
    bell = torch.tensor([math.exp(-0.5), 1.0, math.exp(-0.5)], dtype=torch.float64)
    masks = valid.expand(2, 2, 7, 8)
    for n, c, i, j in itertools.product(range(2), range(2), range(5), range(6)):
        place = (n, c, slice(i, i + 3), slice(j, j + 3))
        weights = torch.outer(bell, bell) * masks[place]
        if weights.any():
            luminance, structure = of_window(x[place], y[place], weights)
            assert found.luminance[n, c, i, j].item() == pytest.approx(luminance, rel=1e-9)
            assert found.structure[n, c, i, j].item() == pytest.approx(structure, rel=1e-9, abs=1e-11)
    everything = structural_similarity(x, y, window=3, sigma=1.0, valid=torch.ones(1, 1, 7, 8))
    torch.testing.assert_close(everything.ssim, structural_similarity(x, y, window=3, sigma=1.0).ssim)


@pytest.mark.parametrize("masked", [False, True])
def test_derivatives(masked: bool) -> None:
    x, y = images(6, 1, 2, 5, 6)
    valid = torch.rand(1, 1, 5, 6, generator=torch.Generator().manual_seed(0)) > 0.3 if masked else None

    def ssim(one: Tensor, other: Tensor) -> Tensor:
        return structural_similarity(one, other, window=3, valid=valid).ssim

    assert gradcheck(ssim, (x.requires_grad_(), y.requires_grad_()))
    assert gradgradcheck(ssim, (x, y))


@pytest.mark.parametrize("level", [0.0, 1.0, 1e4, -1e4, 1e15])
def test_rounding_leaves_a_similarity(level: float) -> None:
    generator = torch.Generator().manual_seed(2)
    flat, steps = torch.full((1, 1, 16, 16), level), level * torch.randint(0, 2, (1, 1, 16, 16), generator=generator)
    for x, y in ((flat, flat), (flat, -flat), (flat, steps), (steps, steps), (steps, level - steps)):
        leaf = x.clone().requires_grad_()
        found = structural_similarity(leaf, y.to(x))
        (slope,) = torch.autograd.grad(found.ssim.sum(), leaf)
        assert bool((found.ssim.detach().abs() <= 1 + 1e-6).all())
        assert bool(slope.isfinite().all())
        if x is y:
            assert bool((found.ssim == 1).all())
            assert not slope.any()


def test_float32_is_close_to_float64() -> None:
    x, y = images(7, 1, 3, 64, 64)
    exact, found = structural_similarity(x, y).ssim.mean(), structural_similarity(x.float(), y.float()).ssim.mean()
    assert found.item() == pytest.approx(exact.item(), abs=2e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert structural_similarity(x.float(), y.float()).ssim.mean() == found


def test_it_is_one_graph_and_reads_nothing() -> None:
    x, y = images(8, 1, 2, 14, 15)
    valid = torch.rand(1, 1, 14, 15, generator=torch.Generator().manual_seed(0)) > 0.3

    def loss(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        leaf = one.clone().requires_grad_()
        value = structural_similarity(leaf, other, valid=valid).ssim.sum()
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    with count_host_reads() as reads:
        expected = loss(x, y)
    assert reads.count == 0
    torch.compiler.reset()
    ssim = torch.compile(
        lambda a, b: structural_similarity(a, b, valid=valid).ssim.sum(), fullgraph=True, backend="aot_eager"
    )
    leaf = x.clone().requires_grad_()
    value = ssim(leaf, y)
    torch.testing.assert_close((value.detach(), torch.autograd.grad(value, leaf)[0]), expected)


@pytest.mark.parametrize("shape", [(1, 1, 10, 20), (1, 1, 20, 10), (20, 20), (1, 1, 20, 20, 20, 20)])
def test_images_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="1 to 3 sizes of at least 11. Hint: a smaller window"):
        structural_similarity(torch.zeros(shape), torch.zeros(shape))
    with pytest.raises(ShapeError, match="of one shape"):
        structural_similarity(torch.zeros(1, 1, 20, 20), torch.zeros(1, 3, 20, 20))


def test_no_image_has_no_windows_and_nan_is_told() -> None:
    assert structural_similarity(torch.zeros(0, 3, 12, 12), torch.zeros(0, 3, 12, 12)).ssim.shape == (0, 3, 2, 2)
    nothing = structural_similarity(torch.full((1, 1, 12, 12), torch.nan), torch.zeros(1, 1, 12, 12))
    assert bool(nothing.ssim.isnan().all())
