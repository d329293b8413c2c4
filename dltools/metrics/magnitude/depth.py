"""Errors of depth maps, as their benchmarks report them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from dltools.meters.report import Reading
from dltools.metrics.magnitude.errors import NumberMetric, NumberMetricCfg
from dltools.states import States

DELTAS = (1, 2, 3)


class DepthErrorsCfg(NumberMetricCfg["DepthErrors"]):
    mask_value: float | None = 0.0
    """A target that is left out: 0 where the depth is unknown."""


class DepthErrors(NumberMetric[DepthErrorsCfg]):
    r"""Errors of positive depths p against y; the value is ``abs_rel``.

    - abs_rel :math:`|p - y| / y`, ``sq_rel`` :math:`(p - y)^2 / y`, ``rmse``: means over pixels
    - ``rmse_log`` :math:`\sqrt{\overline{g^2}}`, ``silog`` :math:`\sqrt{\overline{g^2} - \bar g^2}`, with
      :math:`g = \log p - \log y`
    - ``delta1`` to ``delta3``: share of pixels with :math:`\max(p/y, y/p) < 1.25^k`

    A depth that is not positive is invalid. Eigen et al. 2014, arXiv:1406.2283.

    >>> errors = DepthErrors()
    >>> errors.update(torch.tensor([[1.0, 2.0, 5.0]]), torch.tensor([[1.0, 4.0, 0.0]]))
    >>> report = errors.compute()
    >>> report["depth_errors"], report["depth_errors/delta1"]
    (0.25, 0.5)
    """

    higher: ClassVar[bool | None] = False
    sums: ClassVar[tuple[str, ...]] = ("abs_rel", "sq_rel", "square", "g", "g_square", "delta1", "delta2", "delta3")

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        p, y, _ = pairs = self.pairs(pred, target, valid)
        d, g = p - y, p.log() - y.log()
        terms = {"abs_rel": d.abs() / y, "sq_rel": d.square() / y, "square": d.square(), "g": g, "g_square": g.square()}
        off = torch.maximum(p / y, y / p)
        self.add(s, pairs, terms | {f"delta{k}": (off < 1.25**k).double() for k in DELTAS})

    def value(self, s: States) -> Mapping[str, Reading]:
        mean = {name: self.mean(s, name) for name in self.sums}
        silog = math.sqrt(max(0.0, mean["g_square"] - mean["g"] ** 2))
        found = {
            "": mean["abs_rel"],
            "sq_rel": mean["sq_rel"],
            "rmse": math.sqrt(mean["square"]),
            "rmse_log": math.sqrt(mean["g_square"]),
            "silog": silog,
        }
        errors = {name: self.reading(s, value) for name, value in found.items()}
        shares = {f"delta{k}": self.reading(s, mean[f"delta{k}"])._replace(higher=True) for k in DELTAS}
        return {**errors, **shares}
