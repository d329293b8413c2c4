"""Boxes: areas and overlaps, finite for all corners, with first and second slopes.

Boxes are (..., 4) of any real dtype; half precision and integers are computed in float32. A box whose end lies before
its beginning is inverted: it has no area, and what encloses it spans its corners, so that it overlaps nothing. A box
has an index of 1 with itself, even if it has no area. A coordinate beyond 2^60 counts as if it were there, a length of
2^-60 or less as 0.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from dltools.errors import ConfigError, ShapeError
from dltools.functional.giou_pass import giou_pass
from dltools.functional.spans import Spans, area, bounded, length, spans
from dltools.functional.sums import ratio
from dltools.functional.widen import widen

BoxFormat: TypeAlias = Literal["xyxy", "xywh", "cxcywh"]
"""Two corners; the first corner and the sides; the centre and the sides."""


def box_area(x: Tensor) -> Tensor:
    """Area of boxes xyxy, (..., 4) -> (...); 0 if inverted.

    >>> box_area(torch.tensor([[0, 0, 2, 3], [2, 0, 0, 3]]))
    tensor([6., 0.])
    """
    x = bounded(_boxes(x, "x"))
    return area(length(x[..., 2:] - x[..., :2]))


def box_iou(a: Tensor, b: Tensor, *, pairwise: bool = False) -> Tensor:
    r"""Intersection over union, :math:`I / U`, of boxes xyxy.

    (..., 4) and (..., 4) -> (...); ``pairwise`` each with each, (..., N, 4) and (..., M, 4) -> (..., N, M). Boxes that
    differ and have no area have an IoU of 0. Raises ShapeError.

    >>> a, b = torch.tensor([[0, 0, 2, 1], [0, 0, 1, 1]]), torch.tensor([[0, 0, 1, 2]])
    >>> box_iou(a, b, pairwise=True)
    tensor([[0.3333],
            [0.5000]])
    """
    return box_spans(a, b, pairwise=pairwise).iou


def box_giou(a: Tensor, b: Tensor, *, pairwise: bool = False) -> Tensor:
    r"""Generalized IoU, :math:`I/U - (C - U)/C` with :math:`C` the area of the enclosing box; shapes as ``box_iou``.

    >>> box_giou(torch.tensor([0, 0, 1, 1]), torch.tensor([2, 0, 3, 1]))
    tensor(-0.3333)

    Source: Rezatofighi et al. 2019, arXiv:1902.09630.
    """
    return box_spans(a, b, pairwise=True).giou if pairwise else giou_pass(*_pair(a, b, pairwise))


def box_diou(a: Tensor, b: Tensor, *, pairwise: bool = False) -> Tensor:
    r"""Distance IoU, :math:`I/U - \rho^2 / c^2`; shapes as ``box_iou``.

    :math:`\rho` is the distance of the centres, :math:`c` the diagonal of the enclosing box.

    >>> box_diou(torch.tensor([0, 0, 1, 1]), torch.tensor([2, 0, 3, 1]))
    tensor(-0.4000)

    Source: Zheng et al. 2020, arXiv:1911.08287.
    """
    return _diou(box_spans(a, b, pairwise=pairwise))


def box_ciou(a: Tensor, b: Tensor, *, pairwise: bool = False) -> Tensor:
    r"""Complete IoU, :math:`DIoU - \alpha v` with :math:`v = \frac{4}{\pi^2} (\arctan \frac{w_b}{h_b} - \arctan
    \frac{w_a}{h_a})^2`; shapes as ``box_iou``.

    The trade-off :math:`\alpha = v / (1 - IoU + v)` is a constant: it has no slope.

    >>> box_ciou(torch.tensor([0, 0, 2, 1]), torch.tensor([0, 0, 1, 2]))
    tensor(0.2371)

    Source: Zheng et al. 2020, arXiv:1911.08287.
    """
    s = box_spans(a, b, pairwise=pairwise)
    v = (_slant(s.side_b) - _slant(s.side_a)).square() * (4 / math.pi**2)
    with torch.no_grad():
        alpha = ratio(v, 1 - s.iou + v)
    return _diou(s) - alpha * v


def box_spans(a: Tensor, b: Tensor, *, pairwise: bool = False) -> Spans:
    """Lengths of which indices of boxes xyxy are made; shapes as ``box_iou``, with a last dimension.

    >>> box_spans(torch.tensor([0, 0, 2, 1]), torch.tensor([1, 0, 4, 3])).around
    tensor([4., 3.])
    """
    a, b = _pair(a, b, pairwise)
    return spans(bounded(a), bounded(b))


def box_convert(x: Tensor, src: BoxFormat, dst: BoxFormat) -> Tensor:
    """Boxes (..., 4) in another form: ``xyxy``, ``xywh`` or ``cxcywh``; inverted ones have negative sides.

    >>> box_convert(torch.tensor([0, 0, 4, 2]), "xyxy", "cxcywh")
    tensor([2., 1., 4., 2.])
    """
    for name, form in (("src", src), ("dst", dst)):
        if form not in ("xyxy", "xywh", "cxcywh"):
            raise ConfigError(f"{name} is {form!r}", expected="'xyxy', 'xywh' or 'cxcywh'")
    x = widen(_boxes(x, "x"))
    if src == dst:
        return x
    first, second = x.chunk(2, -1)
    if src == "xyxy":
        second = second - first
    elif src == "cxcywh":
        first = first - second / 2
    if dst == "xyxy":
        second = first + second
    elif dst == "cxcywh":
        first = first + second / 2
    return torch.cat([first, second], -1)


def _diou(s: Spans) -> Tensor:
    return s.iou - ratio(s.shift.square().sum(-1), s.around.square().sum(-1))


def _slant(sides: Tensor) -> Tensor:
    """Angle of the diagonal, 0 for a point."""
    none = (sides == 0).all(-1)
    return torch.atan2(sides[..., 0], sides[..., 1].masked_fill(none, 1))


def _pair(a: Tensor, b: Tensor, pairwise: bool) -> tuple[Tensor, Tensor]:
    """Both in one dtype, float32 or better, and in shapes that go together."""
    a, b = widen(_boxes(a, "a")), widen(_boxes(b, "b"))
    dtype = torch.promote_types(a.dtype, b.dtype)
    a, b = a.to(dtype), b.to(dtype)
    if not pairwise and a.shape != b.shape:
        given, expected = f"a {tuple(a.shape)}, b {tuple(b.shape)}", "boxes of one shape (..., 4)"
        raise ShapeError(given, expected=expected, hint="pairwise=True for each with each")
    if not pairwise:
        return a, b
    if a.ndim < 2 or a.ndim != b.ndim or a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"a {tuple(a.shape)}, b {tuple(b.shape)}", expected="(..., N, 4) and (..., M, 4)")
    return a.unsqueeze(-2), b.unsqueeze(-3)


def _boxes(x: Tensor, name: str) -> Tensor:
    if x.ndim == 0 or x.shape[-1] != 4 or x.is_complex():
        dtype = str(x.dtype).removeprefix("torch.")
        raise ShapeError(f"{name} {tuple(x.shape)} {dtype}", expected="boxes (..., 4) of real numbers")
    return x
