"""Losses of one pair of boxes, written out in plain numbers by their papers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

Box = tuple[float, float, float, float]
Shape = Callable[[Box, Box], float]


def part(top: float, bottom: float) -> float:
    return top / bottom if bottom else 0.0


def sides(box: Box) -> tuple[float, float]:
    return max(box[2] - box[0], 0.0), max(box[3] - box[1], 0.0)


def around(a: Box, b: Box) -> tuple[float, float]:
    xs, ys = (a[0], a[2], b[0], b[2]), (a[1], a[3], b[1], b[3])
    return max(xs) - min(xs), max(ys) - min(ys)


def centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def areas(a: Box, b: Box) -> tuple[float, float]:
    """Intersection and union."""
    inter = math.prod(max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]), 0.0) for i in (0, 1))
    return inter, math.prod(sides(a)) + math.prod(sides(b)) - inter


def iou(a: Box, b: Box) -> float:
    inter, union = areas(a, b)
    return float(a == b) if union == 0 else inter / union


def giou(a: Box, b: Box) -> float:
    hull, (_, union) = math.prod(around(a, b)), areas(a, b)
    return float(2 * (a == b) - 1) if union == 0 else iou(a, b) - (hull - union) / hull


def distance(a: Box, b: Box) -> float:
    return part(math.dist(centre(a), centre(b)) ** 2, math.hypot(*around(a, b)) ** 2)


def diou(a: Box, b: Box) -> float:
    return iou(a, b) - distance(a, b)


def ciou(a: Box, b: Box) -> float:
    angles = [math.atan2(*sides(box)) for box in (a, b)]
    v = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    return diou(a, b) - part(v, 1 - iou(a, b) + v) * v


def eiou_loss(a: Box, b: Box) -> float:
    differ = [(a[i + 2] - a[i]) - (b[i + 2] - b[i]) for i in (0, 1)]
    return 1 - iou(a, b) + distance(a, b) + sum(part(d, c) ** 2 for d, c in zip(differ, around(a, b), strict=True))


def siou_loss(a: Box, b: Box, theta: float = 4.0) -> float:
    """With the angle as the paper has it: its sine, its arc, and a sine of that."""
    shift = [abs(p - q) for p, q in zip(centre(a), centre(b), strict=True)]
    sine = part(shift[1], math.hypot(*shift))
    angle = 1 - 2 * math.sin(math.asin(min(sine, 1.0)) - math.pi / 4) ** 2 if any(shift) else 0.0
    gamma = 2 - angle
    far = sum(1 - math.exp(-gamma * part(d, c) ** 2) for d, c in zip(shift, around(a, b), strict=True))
    unlike = [part(abs(p - q), max(p, q)) for p, q in zip(sides(a), sides(b), strict=True)]
    return 1 - iou(a, b) + (far + sum((1 - math.exp(-x)) ** theta for x in unlike)) / 2


def mpdiou_loss(a: Box, b: Box, image_size: tuple[float, float]) -> float:
    corners = math.dist(a[:2], b[:2]) ** 2 + math.dist(a[2:], b[2:]) ** 2
    return 1 - iou(a, b) + corners / (image_size[0] ** 2 + image_size[1] ** 2)


def nwd_loss(a: Box, b: Box, constant: float) -> float:
    normal = [(*centre(box), (box[2] - box[0]) / 2, (box[3] - box[1]) / 2) for box in (a, b)]
    return 1 - math.exp(-math.dist(*normal) / constant)


def each(shape: Shape, a: Tensor, b: Tensor) -> Tensor:
    """A function of pairs, by a loop: (N, 4) twice -> (N,)."""
    pairs: Iterable[tuple[Box, Box]] = zip(*([tuple(map(float, row)) for row in x] for x in (a, b)), strict=True)  # type: ignore[misc]
    return torch.tensor([shape(one, two) for one, two in pairs], dtype=torch.float64)


def draw(seed: int, num: int) -> tuple[Tensor, Tensor]:
    """Pairs of boxes xyxy of which many meet."""
    generator = torch.Generator().manual_seed(seed)
    begin = torch.rand(2, num, 2, generator=generator, dtype=torch.float64) * 3
    side = torch.rand(2, num, 2, generator=generator, dtype=torch.float64) * 3 + 0.1
    pred, target = torch.cat([begin, begin + side], -1)
    return pred, target


def odd(seed: int) -> tuple[Tensor, Tensor]:
    """Each with each: inverted boxes, points, lines, boxes that touch, lie within others or are equal."""
    kinds = [
        *((0, 0, 2, 1), (1, 0, 3, 1), (2, 0, 3, 1), (0, 0, 1, 1), (0.25, 0.25, 0.5, 0.5), (5, 5, 6, 7)),
        *((1, 1, 1, 1), (0, 0, 2, 0), (1, 0, 2, 0), (1, 0, 1, 3), (0, 2, 0, 2)),
        *((2, 1, 0, 0), (2, 0, 0, 1), (0, 1, 2, 0), (3, 3, 1, 5), (9, 0, 1, 1)),
    ]
    boxes = torch.tensor(kinds, dtype=torch.float64)
    num = len(boxes)
    order = torch.randperm(num * num, generator=torch.Generator().manual_seed(seed))
    return boxes.repeat_interleave(num, 0)[order], boxes.repeat(num, 1)[order]
