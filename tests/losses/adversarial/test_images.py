"""SSIM, MS-SSIM and total variation against scikit-image, scipy and loops, in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity as of_skimage
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ConfigError, ShapeError
from dltools.functional import structural_similarity
from dltools.losses import MSSSIMLoss, MSSSIMLossCfg, SSIMLoss, TVLoss
from dltools.losses.adversarial.ms_ssim import _power


def images(seed: int, *shape: int, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=generator, dtype=torch.float64)
    return x, x + noise * torch.randn(shape, generator=generator, dtype=torch.float64)


def test_ssim_loss_is_one_minus_that_of_skimage() -> None:
    x, y = (255 * image for image in images(0, 3, 2, 20, 30))
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0}
    of_images = [1 - of_skimage(x[n].numpy(), y[n].numpy(), channel_axis=0, **how) for n in range(3)]
    expected = sum(of_images) / 3
    assert SSIMLoss(data_range=255.0)(x, y).item() == pytest.approx(expected, rel=1e-11)
    each = SSIMLoss(data_range=255.0, reduction="none")(x, y)
    assert each.shape == (3, 2, 10, 20)
    assert each.mean((1, 2, 3)).tolist() == pytest.approx(of_images, rel=1e-11)
    assert SSIMLoss(data_range=255.0, reduction="sum")(x, y).item() == pytest.approx(each.sum().item(), rel=1e-13)


def test_a_window_counts_as_much_as_its_centre() -> None:
    x, y = images(1, 2, 2, 14, 16)
    generator = torch.Generator().manual_seed(2)
    mask, weights = torch.rand(2, 14, 16, generator=generator) > 0.3, torch.rand(2, 1, 14, 16, generator=generator)
    terms = 1 - structural_similarity(x, y, valid=mask.unsqueeze(1)).ssim
    share = (weights.double() * mask.unsqueeze(1))[:, :, 5:-5, 5:-5].expand_as(terms)
    found = SSIMLoss()(x, y, mask=mask, weight_map=weights)
    torch.testing.assert_close(found, (terms * share).sum() / share.sum(), rtol=1e-6, atol=0)
    even = SSIMLoss()(x, y, weight_map=torch.full((2, 1, 14, 16), 0.25))
    torch.testing.assert_close(even, SSIMLoss()(x, y), rtol=1e-13, atol=0)


def of_scipy(x: Any, y: Any, weights: Sequence[float]) -> float:
    """MS-SSIM of two grey images, by the formulas of the papers."""

    def blur(image: Any) -> Any:
        return gaussian_filter(image, 1.5, truncate=3.5)[5:-5, 5:-5]

    product = 1.0
    for scale, weight in enumerate(weights):
        mean_x, mean_y = blur(x), blur(y)
        both, squares = blur(x * y) - mean_x * mean_y, blur(x * x + y * y) - mean_x**2 - mean_y**2
        found = (2 * both + 9e-4) / (squares + 9e-4)
        if scale == len(weights) - 1:
            found = found * (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
        product *= max(float(found.mean()), 0) ** weight
        rows, columns = (n // 2 for n in x.shape)
        x, y = (z[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean((1, 3)) for z in (x, y))
    return product


@pytest.mark.parametrize("size", [(176, 190), (177, 181)])
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_ms_ssim_loss_of_grey_images(size: tuple[int, int], noise: float) -> None:
    x, y = images(3, 2, 1, *size, noise=noise)
    weights = MSSSIMLossCfg().weights
    expected = [1 - of_scipy(x[n, 0].numpy(), y[n, 0].numpy(), weights) for n in range(2)]
    assert MSSSIMLoss(reduction="none")(x, y).flatten().tolist() == pytest.approx(expected, rel=1e-10)
    assert sum(weights) == pytest.approx(1, abs=2e-4)


def test_ms_ssim_loss_of_colours_is_the_mean_of_channels() -> None:
    x, y = images(4, 2, 3, 40, 44)
    fields: Any = {"weights": (0.3, 0.7), "window": 7}
    each = MSSSIMLoss(**fields, reduction="none")(x, y)
    assert each.shape == (2, 3)
    for n, c in itertools.product(range(2), range(3)):
        one = MSSSIMLoss(**fields)(x[n : n + 1, c : c + 1], y[n : n + 1, c : c + 1])
        assert one.item() == pytest.approx(each[n, c].item(), rel=1e-12)
    assert MSSSIMLoss(**fields)(x, y).item() == pytest.approx(each.mean().item(), rel=1e-12)


def test_ms_ssim_is_a_product_of_scales() -> None:
    x, y = images(5, 1, 1, 24, 26)
    fine = structural_similarity(x, y, window=5).structure.mean()
    half = [image.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)) for image in (x, y)]
    coarse = structural_similarity(half[0], half[1], window=5).ssim.mean()
    expected = 1 - fine**0.25 * coarse**0.75
    assert MSSSIMLoss(weights=(0.25, 0.75), window=5)(x, y).item() == pytest.approx(expected.item(), rel=1e-12)
    alone = MSSSIMLoss(weights=(1.0,))(x, y)
    torch.testing.assert_close(alone, SSIMLoss()(x, y), rtol=1e-12, atol=0)


def test_ms_ssim_sees_nothing_but_valid_pixels() -> None:
    x, y = images(6, 1, 2, 24, 24)
    mask = torch.rand(1, 24, 24, generator=torch.Generator().manual_seed(0)) > 0.3
    fields: Any = {"weights": (0.25, 0.75), "window": 5}
    expected = MSSSIMLoss(**fields)(x, y, mask=mask)
    leaf = x.masked_fill(~mask, torch.nan).requires_grad_()
    found = MSSSIMLoss(**fields)(leaf, y.masked_fill(~mask, torch.inf), mask=mask)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    (slope,) = torch.autograd.grad(found, leaf)
    assert not slope[~mask.unsqueeze(1).expand_as(slope)].any()
    assert bool(slope.isfinite().all())
    few = torch.zeros_like(mask)
    few[..., :4] = True  # where no coarse window has its centre
    fine = structural_similarity(x, y, window=5, valid=few.unsqueeze(1)).structure[..., :2].mean((2, 3))
    found = MSSSIMLoss(**fields)(x, y, mask=few)
    torch.testing.assert_close(found, (1 - fine**0.25).mean(), rtol=1e-12, atol=0)
    assert MSSSIMLoss(**fields)(x, y, mask=few.roll(-2, -1) & few).item() == 0  # nor a fine one


def test_ms_ssim_of_opposites_is_0_and_has_a_finite_slope() -> None:
    x = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    loss = MSSSIMLoss(weights=(0.05, 0.95), window=5)(x, 1 - x.detach())
    assert loss.item() == 1
    assert bool(torch.autograd.grad(loss, x)[0].isfinite().all())


def test_a_power_is_a_line_near_0() -> None:
    at = torch.tensor([-0.5, 0.0, 5e-7, 1e-6, 0.2, 1.0], dtype=torch.float64, requires_grad=True)
    found = _power(at, 0.05)
    assert found.tolist() == pytest.approx([0, 0, 5e-7 * 1e-6**-0.95, 1e-6**0.05, 0.2**0.05, 1], rel=1e-13)
    (slope,) = torch.autograd.grad(found.sum(), at)
    assert slope.tolist()[1:] == pytest.approx([1e-6**-0.95] * 2 + [0.05 * x**-0.95 for x in (1e-6, 0.2, 1.0)])
    inner = torch.tensor([5e-7, 0.3], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: _power(x, 0.5), inner, eps=1e-9)
    assert gradgradcheck(lambda x: _power(x, 0.5), torch.tensor([0.3, 0.9], dtype=torch.float64, requires_grad=True))


def variation(x: Tensor, weights: Tensor) -> list[tuple[float, float]]:
    """For each dimension, the sum over pairs of neighbours and of their weights."""
    found = []
    for dim in range(2, x.ndim):
        top, below = [], []
        for at in itertools.product(*map(range, x.shape)):
            after = tuple(i + (d == dim) for d, i in enumerate(at))
            if after[dim] < x.shape[dim] and weights[at] and weights[after]:
                both = (float(weights[at]) + float(weights[after])) / 2
                top.append(both * abs(float(x[at]) - float(x[after])))
                below.append(both)
        found.append((math.fsum(top), math.fsum(below)))
    return found


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (1, 2, 3, 4, 3)])
def test_total_variation_is_its_loop(shape: tuple[int, ...]) -> None:
    x, _ = images(7, *shape)
    weights = torch.randint(0, 3, (shape[0], 1, *shape[2:]), generator=torch.Generator().manual_seed(3)).double()
    for given, extra in ((torch.ones(shape), {}), (weights.expand(shape), {"weight_map": weights})):
        pairs = variation(x, given)
        assert TVLoss()(x, None, **extra).item() == pytest.approx(sum(top / below for top, below in pairs), rel=1e-12)
        total = TVLoss(reduction="sum")(x, None, **extra)
        assert total.item() == pytest.approx(sum(top for top, _ in pairs), rel=1e-12)
        each = [sum(top / below for top, below in variation(x[n : n + 1], given[n : n + 1])) for n in range(shape[0])]
        assert TVLoss(reduction="none")(x, x[:, 0], **extra).tolist() == pytest.approx(each, rel=1e-12)


def test_what_does_not_fit() -> None:
    x = torch.zeros(1, 1, 40, 60)
    with pytest.raises(ShapeError, match="sizes of at least 11"):
        SSIMLoss()(x[..., :10], x[..., :10])
    with pytest.raises(ShapeError, match=r"images \(1, 1, 40, 60\).*at least 176. Hint: fewer weights"):
        MSSSIMLoss()(x, x)
    with pytest.raises(ShapeError, match="nothing is broadcast"):
        SSIMLoss()(x, x[..., :30])
    with pytest.raises(ShapeError, match=r"pred \(4, 3\). Expected \(N, C, \*S\)"):
        TVLoss()(torch.zeros(4, 3), None)
    with pytest.raises(ShapeError, match="pred is a list"):
        TVLoss()([x], None)
    legal: dict[str, Any] = {"window": 4, "sigma": 0.0, "data_range": 0.0, "weights": ()}
    for field, bad in legal.items():
        with pytest.raises(ConfigError, match=field):
            MSSSIMLossCfg(**{field: bad})
