"""Distance maps against the definition, scipy, and each other."""

from __future__ import annotations

import importlib.util
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from dltools.errors import ConfigError, MissingExtraError, ShapeError
from dltools.functional import distance, distance_map

BACKENDS = ["auto", "torch", "cv2", "scipy", *(["edt"] if importlib.util.find_spec("edt") else [])]
SIZES = [(9,), (7, 6), (1, 8), (8, 1), (5, 4, 6)]
SINGLE = 2e-5
"""Of backends that count in float32, in units of the distance."""


def masks(seed: int, *shape: int, share: float = 0.5) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


def brute(mask: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[Any]:
    """From each True pixel the distance to all False ones, and the least of them."""
    out = np.zeros(mask.shape)
    places = np.argwhere(~mask)
    for at in np.argwhere(mask) if len(places) else ():
        out[tuple(at)] = np.sqrt((((places - at) * spacing) ** 2).sum(1)).min()
    return out


def expected(mask: Tensor, spacing: tuple[float, ...] | None, signed: bool) -> Tensor:
    steps = spacing or (1.0,) * (mask.ndim - 2)
    out = torch.zeros(mask.shape, dtype=torch.float64)
    for n, c in itertools.product(*map(range, mask.shape[:2])):
        inside, outside = (brute(one.numpy(), steps) for one in (mask[n, c], ~mask[n, c]))
        depth = inside if spacing else np.maximum(inside - 1, 0)
        out[n, c] = torch.from_numpy(outside - depth if signed else inside)
    return out


def by_scipy(mask: Tensor) -> Tensor:
    maps = [ndimage.distance_transform_edt(one.numpy()) for one in mask.flatten(0, 1)]
    return torch.from_numpy(np.stack(maps)).view(mask.shape)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("signed", [False, True])
def test_distances_are_the_least_ones(backend: Any, sizes: tuple[int, ...], signed: bool) -> None:
    mask = torch.cat([masks(0, 2, 2, *sizes), masks(1, 1, 2, *sizes, share=0.95), masks(2, 1, 2, *sizes, share=0.05)])
    for spacing in (None, (0.5,) * len(sizes), (0.7, 2.0, 1.5)[: len(sizes)]):
        if backend == "cv2" and (len(sizes) > 2 or len(set(spacing or ())) > 1):
            continue
        right = expected(mask, spacing, signed)
        found = distance_map(mask, signed=signed, spacing=spacing, backend=backend)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), right, rtol=SINGLE, atol=SINGLE)
        found = distance_map(mask.double(), signed=signed, spacing=spacing, backend=backend)
        close = SINGLE if backend in ("cv2", "edt") else 1e-14
        torch.testing.assert_close(found, right, rtol=close, atol=close)


@given(st.integers(0, 2**12 - 1), st.sampled_from([(12,), (3, 4), (2, 3, 2)]))
def test_every_small_mask(bits: int, sizes: tuple[int, ...]) -> None:
    mask = torch.tensor([bits >> k & 1 for k in range(12)]).view(1, 1, *sizes) == 1
    for signed in (False, True):
        torch.testing.assert_close(distance_map(mask.double(), signed=signed), expected(mask, None, signed))


@pytest.mark.parametrize(
    "sizes", [(3, 1, 150, 140), (1, 1, 600, 3), (1, 1, 3, 600), (1, 2, 30, 140, 40), (2, 1, 700, 800)]
)
@pytest.mark.parametrize("share", [0.5, 0.999, None])
def test_short_and_long_distances_of_many_maps(sizes: tuple[int, ...], share: float | None) -> None:
    mask = torch.ones(sizes, dtype=torch.bool) if share is None else masks(3, *sizes, share=share)
    mask[0] |= torch.rand(sizes[1:], generator=torch.Generator().manual_seed(4)) < 0.5  # a near map beside far ones
    mask[(slice(None), slice(None), *[0] * (len(sizes) - 2))] = False
    right = by_scipy(mask)
    torch.testing.assert_close(distance_map(mask.double(), backend="torch"), right, rtol=1e-14, atol=0)
    torch.testing.assert_close(distance_map(mask), right.float(), rtol=SINGLE, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(2, 3), (0, 2, 4), (2, 1, 0, 3), (2, 0, 4), (1, 1, 1, 1), (2, 1, 3, 5)])
def test_masks_without_an_edge_are_0(backend: Any, shape: tuple[int, ...]) -> None:
    for signed, full in itertools.product((False, True), (False, True)):
        found = distance_map(torch.full(shape, full), signed=signed, backend=backend)
        assert found.shape == shape
        assert not found.any()


def test_what_counts_as_true_and_the_dtype() -> None:
    mask = torch.tensor([[[0.0, 2.0, torch.nan, -1.0, 0.0]]])
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool):
        found = distance_map(mask.nan_to_num(1.0).to(dtype))
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert found.tolist() == [[[0, 1, 2, 1, 0]]]
    assert distance_map(mask).tolist() == [[[0, 1, 2, 1, 0]]]
    assert not distance_map(mask.requires_grad_(), signed=True).requires_grad


@pytest.mark.parametrize("backend", BACKENDS)
def test_strides_do_not_matter(backend: Any) -> None:
    mask = masks(5, 4, 6, 5, 3)
    for view in (mask.permute(3, 0, 2, 1), mask[::2, :, 1:, ::2], mask[:1].expand(3, -1, -1, -1)):
        torch.testing.assert_close(
            distance_map(view, backend=backend).double(), by_scipy(view.contiguous()), rtol=1e-6, atol=0
        )


def test_a_signed_map_has_zeros_at_the_edge() -> None:
    mask = torch.tensor([[[0, 0, 1, 1, 1, 0]]])
    assert distance_map(mask, signed=True).tolist() == [[[2, 1, 0, -1, 0, 1]]]
    assert distance_map(mask, signed=True, spacing=(1.0,)).tolist() == [[[2, 1, -1, -2, -1, 1]]]


def test_auto_works_without_any_package(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = masks(6, 2, 2, 20, 30, share=0.9)
    monkeypatch.setattr(distance, "_installed", lambda name: False)
    torch.testing.assert_close(distance_map(mask), by_scipy(mask).float(), rtol=1e-6, atol=0)
    for name, package in (("cv2", "opencv-python-headless"), ("edt", "edt"), ("scipy", "scipy")):
        with pytest.raises(MissingExtraError, match=f"{package} is not installed"):
            distance_map(mask, backend=name)  # type: ignore[arg-type]


@pytest.mark.parametrize("signed", [False, True])
def test_a_map_is_one_graph(signed: bool) -> None:
    mask = masks(7, 2, 2, 9, 8)
    torch.compiler.reset()
    compiled = torch.compile(lambda x: distance_map(x, signed=signed), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(mask), distance_map(mask, signed=signed))


MASK = torch.ones(2, 3, 4, 5, dtype=torch.bool)
WRONG: dict[str, tuple[Tensor, dict[str, Any], type[Exception]]] = {
    "mask (4,)": (MASK[0, 0, :, 0], {}, ShapeError),
    "mask (1, 2, 3, 4, 5, 1)": (torch.ones(1, 2, 3, 4, 5, 1), {}, ShapeError),
    "spacing (1.0,) for mask (2, 3, 4, 5)": (MASK, {"spacing": (1,)}, ShapeError),
    "spacing (1.0, 0.0)": (MASK, {"spacing": (1, 0)}, ShapeError),
    "spacing (1.0, nan)": (MASK, {"spacing": (1.0, float("nan"))}, ShapeError),
    "backend is 'cv3'; did you mean 'cv2'?": (MASK, {"backend": "cv3"}, ConfigError),
    "backend 'cv2' for mask (2, 3, 4, 5), spacing (1.0, 2.0)": (
        MASK,
        {"backend": "cv2", "spacing": (1, 2)},
        ConfigError,
    ),
    "backend 'cv2' for mask (1, 2, 3, 4, 5)": (torch.ones(1, 2, 3, 4, 5), {"backend": "cv2"}, ConfigError),
}


@pytest.mark.parametrize("text", WRONG)
def test_mistakes_are_named(text: str) -> None:
    mask, how, error = WRONG[text]
    with pytest.raises(error) as caught:
        distance_map(mask, **how)
    assert text in str(caught.value)
