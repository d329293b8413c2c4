"""Distances of key points in relation to the size of what they belong to."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegativeInt, Positive, PositiveInt
from dltools.errors import ConfigError, ShapeError
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.invalid import invalid, note
from dltools.states import State, States, Sum

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="KeypointMetricCfg[Any]")


class KeypointMetricCfg(MetricCfg[T_co]):
    """How many points there are, and what their distances are measured in."""

    num_keypoints: PositiveInt
    norm: Literal["box", "diagonal"] | tuple[NonNegativeInt, NonNegativeInt] = "box"
    """The length that distances are measured in: of the box, of its diagonal, between two points of the target."""

    def __post_init__(self) -> None:
        if isinstance(self.norm, tuple) and (max(self.norm) >= self.num_keypoints or self.norm[0] == self.norm[1]):
            given = f"norm is {self.norm}, num_keypoints {self.num_keypoints}"
            raise ConfigError(given, expected="two different points, counted from 0")


OFF = invalid("distance", "length")


class KeypointMetric(Metric[CfgT]):
    """pred and target (N, K, 2); by name ``visible``, bool (N, K), and ``box``, (N, 4) as x1 y1 x2 y2.

    Points that are not visible are left out, and so are samples in which a point of ``norm`` is not. Without ``box`` it
    is the one around the target's visible points.
    """

    @abstractmethod
    def box_length(self, sides: Tensor) -> Tensor:
        """The length of boxes with sides (N, 2)."""

    def check(self, pred: Tensor, target: Tensor, visible: Tensor | None = None, box: Tensor | None = None) -> None:
        n, num = len(pred), self.cfg.num_keypoints
        legal = {"pred": (n, num, 2), "target": (n, num, 2), "visible": (n, num), "box": (n, 4)}
        for name, x in {"pred": pred, "target": target, "visible": visible, "box": box}.items():
            if x is not None and tuple(x.shape) != legal[name]:
                raise ShapeError(f"{name} {tuple(x.shape)}, num_keypoints {num}", expected=f"{name} {legal[name]}")

    def distances(
        self, s: States, pred: Tensor, target: Tensor, valid: Tensor, visible: Tensor | None, box: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Distances over the length, and which of them count, both (N, K); the invalid ones are noted."""
        there = torch.ones_like(pred[..., 0], dtype=torch.bool) if visible is None else visible != 0
        measured = there[:, list(self.cfg.norm)].all(1) if isinstance(self.cfg.norm, tuple) else torch.ones_like(valid)
        counts = there & (valid & measured).unsqueeze(1)
        distance = torch.linalg.vector_norm(pred.double() - target.double(), dim=-1)
        length = self.length(target.double(), there, box).unsqueeze(1)
        found = distance / length
        fine = found.isfinite() & (length > 0)
        note(s, counts & ~fine, distance, length.expand_as(distance))
        return torch.where(counts & fine, found, 0), counts & fine

    def length(self, target: Tensor, there: Tensor, box: Tensor | None) -> Tensor:
        """What distances of a sample are measured in, (N,)."""
        if isinstance(self.cfg.norm, tuple):
            i, j = self.cfg.norm
            return (target[:, i] - target[:, j]).square().sum(-1).sqrt()
        if box is None:
            seen = there.unsqueeze(-1)
            high = target.masked_fill(~seen, -torch.inf).amax(1)
            sides = high - target.masked_fill(~seen, torch.inf).amin(1)
        else:
            sides = box[:, 2:].double() - box[:, :2].double()
        return sides.square().sum(-1).sqrt() if self.cfg.norm == "diagonal" else self.box_length(sides)

    def legal(self) -> str:
        return "Points must be finite, and the length that they are measured in positive."


class PCKCfg(KeypointMetricCfg["PCK"]):
    alpha: Positive = 0.2
    """Distances up to this share of the length are right."""


class PCK(KeypointMetric[PCKCfg]):
    r"""Percentage of correct key points: share with :math:`d \le \alpha \, length`; a box's length is its longer side.

    >>> pck = PCK(num_keypoints=2, alpha=0.1)
    >>> target = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]])
    >>> pck.update(target + torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), target)
    >>> pck.compute()
    Report(pck=0.5)

    Yang and Ramanan 2013, "Articulated human detection with flexible mixtures of parts".
    """

    higher: ClassVar[bool | None] = True

    def layout(self) -> Mapping[str, State]:
        """Right and all points, by number, and invalid ones."""
        return {"right": Sum(self.cfg.num_keypoints), "n": Sum(self.cfg.num_keypoints), **OFF}

    def box_length(self, sides: Tensor) -> Tensor:
        return sides.amax(-1)

    def count(
        self,
        s: States,
        pred: Tensor,
        target: Tensor,
        visible: Tensor | None = None,
        box: Tensor | None = None,
        *,
        valid: Tensor,
    ) -> None:
        found, counts = self.distances(s, pred, target, valid, visible, box)
        s["right"] += ((found <= self.cfg.alpha) & counts).sum(0)
        s["n"] += counts.sum(0)

    def value(self, s: States) -> Reading:
        right, n = s["right"].tolist(), s["n"].tolist()
        each = {str(i): a / b if b else math.nan for i, (a, b) in enumerate(zip(right, n, strict=True))}
        total = sum(n)
        value = sum(right) / total if total else math.nan
        return Reading(value, n=total, per_class=each, invalid=int(s["invalid"]), resample=(sum(right), total))


class NMECfg(KeypointMetricCfg["NME"]):
    pass


class NME(KeypointMetric[NMECfg]):
    r"""Normalised mean error: mean over samples of the mean :math:`d / length`; a box's length is :math:`\sqrt{w h}`.

    >>> nme = NME(num_keypoints=2, norm=(0, 1))
    >>> target = torch.tensor([[[0.0, 0.0], [10.0, 0.0]]])
    >>> nme.update(target + torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), target)
    >>> nme.compute()
    Report(nme=0.15)

    Sagonas et al. 2013, "300 faces in-the-wild challenge".
    """

    higher: ClassVar[bool | None] = False

    def layout(self) -> Mapping[str, State]:
        """Sum over samples, their number, invalid points."""
        return {"error": Sum(dtype=torch.float64), "n": Sum(), **OFF}

    def box_length(self, sides: Tensor) -> Tensor:
        return sides.prod(-1).sqrt()

    def count(
        self,
        s: States,
        pred: Tensor,
        target: Tensor,
        visible: Tensor | None = None,
        box: Tensor | None = None,
        *,
        valid: Tensor,
    ) -> None:
        found, counts = self.distances(s, pred, target, valid, visible, box)
        num = counts.sum(1)
        s.add("error", (found.sum(1) / num.clamp_min(1)).sum())
        s["n"] += (num > 0).sum()

    def value(self, s: States) -> Reading:
        n = int(s["n"])
        return Reading(float(s["error"]) / n if n else math.nan, n=n, invalid=int(s["invalid"]))
