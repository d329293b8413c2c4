"""Indices of boxes against plain numbers, and what holds for all corners that a float can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from dltools.errors import ConfigError, ShapeError
from dltools.functional import box_area, box_ciou, box_convert, box_diou, box_giou, box_iou
from dltools.functional.boxes import BoxFormat, box_spans
from tests.hostreads import count_host_reads
from tests.losses.detection import boxes as plain

INDICES: dict[str, tuple[Callable[..., Tensor], Callable[[plain.Box, plain.Box], float]]] = {
    "iou": (box_iou, plain.iou),
    "giou": (box_giou, plain.giou),
    "diou": (box_diou, plain.diou),
    "ciou": (box_ciou, plain.ciou),
}
FORMATS: tuple[BoxFormat, ...] = ("xyxy", "xywh", "cxcywh")
every = pytest.mark.parametrize("name", INDICES)


@every
def test_indices_are_those_of_the_papers(name: str) -> None:
    index, shape = INDICES[name]
    for a, b in (plain.draw(0, 200), plain.odd(1)):
        torch.testing.assert_close(index(a, b), plain.each(shape, a, b), rtol=1e-12, atol=1e-14)
        expected = torch.stack([plain.each(shape, one.expand(7, 4), b[:7]) for one in a[:9]])
        torch.testing.assert_close(index(a[:9], b[:7], pairwise=True), expected, rtol=1e-12, atol=1e-14)


def test_known_boxes() -> None:
    unit, beside, wide, high = torch.tensor([[0, 0, 1, 1], [2, 0, 3, 1], [0, 0, 2, 1], [0, 0, 1, 2]])
    assert box_giou(unit, beside).item() == pytest.approx(-1 / 3, abs=1e-7)
    assert box_diou(unit, beside).item() == pytest.approx(-0.4, abs=1e-7)
    assert box_ciou(wide, high).item() == pytest.approx(1 - 0.7629183, abs=1e-7)
    assert box_iou(unit, wide).item() == 0.5
    assert box_area(torch.stack([unit, wide, torch.tensor([3, 0, 1, 1])])).tolist() == [1, 2, 0]


@every
def test_shapes_and_dtypes(name: str) -> None:
    index, _ = INDICES[name]
    a, b = plain.draw(0, 24)
    torch.testing.assert_close(index(a.view(2, 3, 4, 4), b.view(2, 3, 4, 4)), index(a, b).view(2, 3, 4))
    both = index(a.view(2, 12, 4), b.view(2, 12, 4)[:, :5], pairwise=True)
    assert both.shape == (2, 12, 5)
    torch.testing.assert_close(both[1, 7, 3], index(a[19], b[15]))
    assert index(a[:0], b[:0]).shape == (0,)
    assert index(a[:0], b, pairwise=True).shape == (0, 24)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.int64, torch.uint8):
        found = index(a.to(dtype), b.to(dtype))
        assert found.dtype == torch.float32
        exact = index(a.to(dtype).double(), b.to(dtype).double())
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6)
    assert index(a.float(), b).dtype == torch.float64


@pytest.mark.parametrize("name", ["iou", "giou", "diou"])  # of CIoU a part is a constant: see its loss
@pytest.mark.parametrize("pairwise", [False, True])
def test_first_and_second_slopes(name: str, pairwise: bool) -> None:
    index, _ = INDICES[name]
    a, b = plain.draw(2, 6)
    a[3], a[4], b[5] = a[3, [2, 1, 0, 3]], a[4, [2, 3, 0, 1]], b[5, [0, 3, 2, 1]]  # inverted
    leaves = a.requires_grad_(), b.requires_grad_()
    assert gradcheck(lambda a, b: index(a, b, pairwise=pairwise), leaves)
    assert gradgradcheck(lambda a, b: index(a, b, pairwise=pairwise), leaves)
    for one in leaves:  # the slopes of one side alone are those of both
        (alone,) = torch.autograd.grad(index(*(x if x is one else x.detach() for x in leaves)).sum(), one)
        torch.testing.assert_close(alone, torch.autograd.grad(index(*leaves).sum(), one)[0], rtol=1e-14, atol=0)


def slopes(value: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value.sum(), leaves)


def test_the_pass_of_giou_says_what_its_definition_says() -> None:
    for a, b in (plain.draw(3, 300), plain.odd(4)):
        noise = torch.rand(2, *a.shape, generator=torch.Generator().manual_seed(0), dtype=a.dtype)
        leaves = (a + 0.1 * noise[0]).requires_grad_(), (b + 0.1 * noise[1]).requires_grad_()  # no corners are equal
        value, defined = box_giou(*leaves), box_spans(*leaves).giou
        torch.testing.assert_close(value, defined, rtol=1e-12, atol=1e-14)
        for found, expected in zip(slopes(value, *leaves), slopes(defined, *leaves), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@every
def test_a_box_with_itself_is_flat(name: str) -> None:
    index, _ = INDICES[name]
    for box in (plain.draw(5, 50)[0], plain.odd(6)[0]):
        a = box.requires_grad_()
        value = index(a, box.detach())
        assert torch.equal(value, torch.ones_like(value))
        (slope,) = slopes(value, a)
        torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-12)


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
some = st.one_of(numbers, st.sampled_from([0.0, 1.0, 1e-30, 1e30, 3e38, -3e38, 2.0**-60, 2.0**60]))
corners = st.lists(some, min_size=4, max_size=4)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@given(corners, st.one_of(corners, st.none()), st.sampled_from(DTYPES), st.sampled_from(list(INDICES)), st.booleans())
def test_whatever_is_finite_gives_what_is_finite(a: Any, b: Any, dtype: Any, name: str, pairwise: bool) -> None:
    most = torch.finfo(dtype).max
    one, two = (torch.tensor([x], dtype=torch.float64).clamp(-most, most).to(dtype) for x in (a, a if b is None else b))
    leaves = one.requires_grad_(), two.requires_grad_()
    value = INDICES[name][0](*leaves, pairwise=pairwise)
    found = torch.autograd.grad(value.sum(), leaves, create_graph=True)
    assert bool(value.isfinite().all())
    assert -3.1 < value.item() <= 1
    assert all(bool(slope.isfinite().all()) for slope in found)
    assert all(bool(slope.isfinite().all()) for slope in slopes(INDICES[name][0](*leaves, pairwise=pairwise), *leaves))
    if torch.equal(one, two):
        assert value.item() == 1


flat = st.tuples(*[st.integers(-2, 2)] * 4).filter(lambda box: box[2] <= box[0] or box[3] <= box[1])


@given(flat, st.tuples(*[st.integers(-2, 2)] * 4))
def test_what_has_no_area_never_matches_what_is_not_equal(a: Any, b: Any) -> None:
    value = box_iou(torch.tensor(a), torch.tensor(b))
    assert value.item() == float(a == b)
    for index in (box_giou, box_diou, box_ciou):
        assert index(torch.tensor(a), torch.tensor(b)).item() <= value.item()


def test_what_is_not_a_number_is_told() -> None:
    for at in range(4):
        a, b = plain.draw(0, 3)
        a[1, at] = torch.nan
        for index, _ in INDICES.values():
            assert index(a, b).isnan().tolist() == index(b, a).isnan().tolist() == [False, True, False]


@given(corners, st.sampled_from(FORMATS), st.sampled_from(FORMATS))
def test_forms_are_there_and_back(box: Any, src: BoxFormat, dst: BoxFormat) -> None:
    x = torch.tensor(box, dtype=torch.float64)
    first, second = (f.numpy() for f in x.chunk(2))
    begin = first - second / 2 if src == "cxcywh" else first
    side = second - first if src == "xyxy" else second
    forms = {"xyxy": (begin, begin + side), "xywh": (begin, side), "cxcywh": (begin + side / 2, side)}
    expected = torch.cat([torch.as_tensor(part) for part in forms[dst]])
    scale = x.abs().max().item()
    torch.testing.assert_close(box_convert(x, src, dst), expected, rtol=1e-14, atol=1e-14 * scale)
    torch.testing.assert_close(box_convert(box_convert(x, src, dst), dst, src), x, rtol=1e-14, atol=1e-14 * scale)


def test_forms_have_slopes_and_dtypes() -> None:
    x = plain.draw(0, 3)[0].view(3, 1, 4).requires_grad_()
    for src in FORMATS:
        for dst in FORMATS:
            assert gradcheck(lambda x, src=src, dst=dst: box_convert(x, src, dst), x)
            assert box_convert(x.half(), src, dst).dtype == torch.float32
            assert box_convert(x.long(), src, dst).dtype == torch.float32


def test_what_does_not_fit() -> None:
    a, b = plain.draw(0, 3)
    for index, _ in INDICES.values():
        with pytest.raises(ShapeError, match=r"a \(3, 4\), b \(2, 4\). Expected boxes of one shape.*pairwise=True"):
            index(a, b[:2])
        with pytest.raises(ShapeError, match=r"b \(3, 3\) float64. Expected boxes \(..., 4\)"):
            index(a, b[:, :3])
        with pytest.raises(ShapeError, match=r"Expected \(..., N, 4\) and \(..., M, 4\)"):
            index(a, b.view(1, 3, 4), pairwise=True)
    with pytest.raises(ShapeError, match="complex64"):
        box_area(a.to(torch.complex64))
    with pytest.raises(ConfigError, match=r"dst is 'yxyx'. Expected 'xyxy', 'xywh' or 'cxcywh'"):
        box_convert(a, "xyxy", "yxyx")  # type: ignore[arg-type]


def test_nothing_is_read_from_the_device_and_all_is_one_graph() -> None:
    def indices(a: Tensor, b: Tensor) -> list[Tensor]:
        return [index(a, b, pairwise=pairwise) for index, _ in INDICES.values() for pairwise in (False, True)]

    leaves = tuple(x.requires_grad_() for x in plain.draw(7, 20))
    with count_host_reads() as reads:
        values = indices(*leaves)
        expected = [slopes(value, *leaves) for value in values]
    assert reads.count == 0
    torch.compiler.reset()
    compiled = torch.compile(indices, fullgraph=True, backend="aot_eager")(*leaves)
    torch.testing.assert_close(compiled, values, rtol=1e-12, atol=1e-14)
    total = sum(value.sum() * k for k, value in enumerate(compiled))
    for k, found in enumerate(torch.autograd.grad(total, leaves)):
        torch.testing.assert_close(found, sum(n * one[k] for n, one in enumerate(expected)), rtol=1e-10, atol=1e-12)
