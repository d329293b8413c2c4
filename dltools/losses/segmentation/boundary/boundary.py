"""Boundary loss: how far predicted pixels lie outside of the target, less how deep inside."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from dltools.errors import ConfigError, ShapeError
from dltools.functional.overlap import OnePass
from dltools.functional.targets import arrange, describe
from dltools.losses.field import FieldLoss, FieldLossCfg, across
from dltools.losses.segmentation.masks import target_distance
from dltools.losses.view import View


class BoundaryLossCfg(FieldLossCfg["BoundaryLoss"]):
    target_holds: Literal["mask", "distance"] = "mask"
    """Labels, or the signed distances of ``distance_map``, made in the loader, in the shape of ``pred``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target_holds == "distance" and self.ignore_index is not None:
            raise ConfigError(
                f"ignore_index={self.ignore_index} with target_holds='distance'",
                expected="a label, which distances are not",
                hint="mask says what counts",
            )


class BoundaryLoss(FieldLoss[BoundaryLossCfg]):
    r"""Mean of :math:`p \phi`, the target's signed distance :math:`\phi` weighted by the predicted probability.

    :math:`\phi` is the distance to the target in pixels outside of it and minus the distance to its edge inside; for a
    class that is everywhere or nowhere it is 0. The loss may be negative. It is meant to be added to one of regions,
    with a weight that grows (``Combine`` and ``LinearWeight``). Excluded pixels are as if beyond the image's border.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares, of which the mask is what exceeds 1/2.
    Raises ShapeError.

    >>> loss = BoundaryLoss(task="binary", holds="probs")
    >>> loss(torch.ones(1, 1, 1, 5), torch.tensor([[[[0, 0, 1, 0, 0]]]]))
    tensor(1.2000)

    Source: Kervadec et al. 2019, arXiv:1812.07032.
    """

    def field(self, view: OnePass) -> Tensor:
        if self.cfg.target_holds == "distance":
            return view.prob * view.labels.y
        return view.prob * target_distance(view)

    def reading(self, view: View) -> OnePass:
        if self.cfg.target_holds == "mask":
            return self.look(view)
        key = ("distance", self.cfg.task, self.cfg.holds, self.cfg.class_weights)
        return view.once(key, lambda: self._of_distances(*view.tensors()))

    def _of_distances(self, pred: Tensor, target: Tensor, mask: Tensor | None, weight_map: Tensor | None) -> OnePass:
        """A pass whose labels are distances."""
        if self.cfg.task == "binary":
            pred, target = arrange(pred, target, "binary")
        if pred.shape != target.shape:
            raise ShapeError(
                f"{describe(pred, target)}, task {self.cfg.task}, target_holds distance",
                expected="distances in the shape of pred",
            )
        none = torch.zeros_like(target[:, 0] if self.cfg.task == "multiclass" else target, dtype=torch.int64)
        passed = self.look(View(pred, none, mask, weight_map))
        distance = torch.where(across(passed, passed.labels.valid), target, 0).to(passed.dtype)
        return replace(passed, labels=passed.labels._replace(y=distance))


SurfaceLoss = BoundaryLoss
SurfaceLossCfg = BoundaryLossCfg
