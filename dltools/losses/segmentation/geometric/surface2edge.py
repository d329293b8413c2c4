"""Surface loss with one of edges: where a surface lies, and that it is one."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.errors import ConfigError
from dltools.functional.edges import dilate, erode
from dltools.losses.distutils import Sums
from dltools.losses.dense import DenseLoss
from dltools.losses.field import FieldLossCfg, masks_of, valid_of
from dltools.losses.segmentation.boundary.boundary import BoundaryLoss
from dltools.losses.statistical.dice import DiceLoss
from dltools.losses.view import View


class Surface2EdgeLossCfg(FieldLossCfg["Surface2EdgeLoss"]):
    edge_weight: NonNegative = 1.0
    """Weight of the loss of edges."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reduction == "none":
            raise ConfigError("reduction='none'", expected="'mean' or 'sum': a field and a loss of classes do not add up")


class Surface2EdgeLoss(DenseLoss[Surface2EdgeLossCfg]):
    r"""``SurfaceLoss`` plus :math:`w (1 - \mathrm{Dice}(e_p, e_y))` of soft edges.

    An assumption: the name has no definition that is known to the public. :math:`e_m` are the ``soft_edges`` of a mask;
    a class without edges in the target is left out of their mean. Excluded pixels are as if beyond the image's border.

    Shapes: pred (N, C, *S), target (N, *S) of integers or (N, C, *S) of shares. Raises ShapeError.

    >>> loss = Surface2EdgeLoss(task="binary", holds="probs")
    >>> mask = torch.tensor([[[[0.0, 0.0, 1.0, 0.0, 0.0]]]])
    >>> loss(torch.ones(1, 1, 1, 5), mask), loss(mask, mask)
    (tensor(2.2000), tensor(0.))

    Source: of its parts, arXiv:1812.07032 and arXiv:1608.04117.
    """

    def setup(self) -> None:
        cfg = self.cfg
        how = {"reduction": cfg.reduction, "class_weights": cfg.class_weights, "classes": cfg.classes}
        read = {"task": cfg.task, "holds": cfg.holds, "ignore_index": cfg.ignore_index, "check": cfg.check}
        self.surface: BoundaryLoss = BoundaryLoss(**how, **read)
        self.edges: DiceLoss = DiceLoss(**how, task="multilabel", holds="probs")

    def sums(self, view: View) -> Sums:
        parts = {"surface": self.surface.sums(view), "edges": self.edges.sums(self._edges(view))}
        return {f"{part}/{name}": x for part, sums in parts.items() for name, x in sums.items()}

    def value(self, sums: Sums) -> Tensor:
        surface, edges = (
            {name.removeprefix(part): x for name, x in sums.items() if name.startswith(part)}
            for part in ("surface/", "edges/")
        )
        return self.surface.value(surface) + self.cfg.edge_weight * self.edges.value(edges)

    def _edges(self, view: View) -> View:
        """Edges as predictions and targets."""
        passed = self.look(view)
        valid, masks = valid_of(passed), (passed.prob, masks_of(passed).to(passed.dtype))
        edges = (dilate(mask) - erode(torch.where(valid, mask, 1)) for mask in masks)  # 0 where excluded
        return View(*edges, mask=valid, weight_map=passed.labels.weights)


