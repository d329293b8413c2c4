"""A loss of one's own in five lines: what one pixel costs; masks, class weights, means and logging are the base's.

python examples/extend/loss.py loss=GCELoss loss.q=0.5
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dltools.cfgutils import Positive, Record, build, cli, load
from dltools.losses import CELossCfg, CombineCfg, DenseLossCfg, LossCfg, PixelLoss
from dltools.meters import collect


class GCELossCfg(DenseLossCfg["GCELoss"]):
    q: Positive = 0.7


class GCELoss(PixelLoss[GCELossCfg]):
    def pixel(self, log_p: Tensor) -> Tensor:
        return -(self.cfg.q * log_p).expm1() / self.cfg.q  # (1 - p^q) / q: Zhang and Sabuncu 2018, arXiv:1805.07836


class TrainCfg(Record):
    loss: LossCfg[Any] = CELossCfg()


YAML = """
type: Combine
terms: {ce: {type: CELoss}, gce: {type: GCELoss, q: 2, ignore_index: 255}}
weights: {gce: 0.5}
"""


if __name__ == "__main__":
    cfg = cli(TrainCfg).loss
    pred, target = torch.zeros(2, 4, 8, 8, requires_grad=True), torch.zeros(2, 8, 8, dtype=torch.int64)
    print(f"{cfg}: {build(cfg)(pred, target):.4f}")
    both = build(load(CombineCfg, YAML))
    both(pred, target).backward()
    print(*(f"{name}: {value:.4f}" for name, value in collect({"train": both}).items()), sep="\n")
