"""OKS loss: one minus the similarity by which key points are judged."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.errors import ConfigError, ShapeError
from dltools.functional.sums import ratio
from dltools.losses.base import LossCfg
from dltools.losses.buffers import buffer_on
from dltools.losses.element import read_elements
from dltools.losses.view import View, follow
from dltools.losses.weighing import MeanLoss, Pair, refuse_values

COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""How far annotators of COCO scatter: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles."""


class OKSLossCfg(LossCfg["OKSLoss"]):
    sigmas: tuple[Positive, ...] = COCO_SIGMAS
    """Tolerance of each key point, as a share of the square root of the area."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sigmas:
            raise ConfigError("sigmas is ()", expected="a number > 0 for each key point")


class OKSLoss(MeanLoss[OKSLossCfg]):
    r"""One minus the object keypoint similarity, the mean of :math:`\exp(-d^2 / (2 a (2 \sigma)^2))` of visible points.

    Mean over the instances that have one. :math:`d` is the distance to the target, :math:`a` the area of the instance
    in the same units, squared. A point whose instance has no area is left out and counted.

    Shapes: pred (N, K, 2); target a mapping: ``points`` (N, K, 2) and ``area`` (N,), floats; mask and weight_map, the
    visibility, (N, K). Raises ShapeError.

    >>> import torch
    >>> target = {"points": torch.zeros(1, 1, 2), "area": torch.tensor([4.0])}
    >>> OKSLoss(sigmas=(0.5,))(torch.tensor([[[2.0, 0.0]]]), target)
    tensor(0.3935)

    Source: the keypoint task of COCO, Lin et al. 2014, arXiv:1405.0312; as a loss Maji et al. 2022, arXiv:2204.06806.
    """

    sigmas: Tensor

    def setup(self) -> None:
        self.register_buffer("sigmas", torch.tensor(self.cfg.sigmas, dtype=torch.float64), persistent=False)

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pair, area = self._look(view)
        size = area.to(pair.dtype).clamp_min(_LEAST).unsqueeze(1)
        sigmas = buffer_on(self, "sigmas", size.device).to(size.dtype)
        distance = (pair.pred - pair.target).square().sum(-1)
        similarity = torch.exp(-distance / (8 * size * sigmas.square()))
        each, weight = (pair.weigh(x.unsqueeze(-1))[0].sum((1, 2)) for x in (similarity, torch.ones_like(similarity)))
        seen = weight != 0
        return torch.where(seen, 1 - ratio(each, weight), 0), seen.count_nonzero().double()

    def _look(self, view: View) -> tuple[Pair[Tensor], Tensor]:
        """Key points, and the area of each instance."""
        points, area = (follow(view.target, name, "target") for name in ("points", "area"))
        pred, points, mask, weight_map = View(view.pred, points, view.mask, view.weight_map).tensors()
        self._fit(pred, area)
        legal = (area > 0).view(-1, 1, 1)
        read = partial(read_elements, pred, points, mask, weight_map, mask_dim=-1, whole=True, legal=legal)
        pair = view.once("key points", read)
        if self.cfg.check:
            refuse_values(pair.bad, pair.target)
        return pair, area

    def _fit(self, pred: Tensor, area: Any) -> None:
        num, given = len(self.cfg.sigmas), f"area is a {type(area).__name__}"
        if isinstance(area, Tensor):
            given = f"area {tuple(area.shape)}"
            if area.ndim == 1 and pred.shape == (len(area), num, 2):
                return
        expected = f"pred (N, {num}, 2), area (N,)"
        raise ShapeError(f"pred {tuple(pred.shape)}, {given}", expected=expected, hint="sigmas, one for each key point")


_LEAST = 1e-12  # an area that leaves the slope finite
