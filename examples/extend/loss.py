"""A loss of one's own in five lines: what one pixel costs; masks, class weights, means and logging are the base's.

python examples/extend/loss.py loss=PolyLoss loss.epsilon=3
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dltools.cfgutils import NonNegative, Record, build, cli, load
from dltools.losses import CELossCfg, CombineCfg, DenseLossCfg, LossCfg, PixelLoss
from dltools.meters import collect


class PolyLossCfg(DenseLossCfg["PolyLoss"]):
    epsilon: NonNegative = 1.0


class PolyLoss(PixelLoss[PolyLossCfg]):
    def pixel(self, log_p: Tensor) -> Tensor:
        return self.cfg.epsilon * (1 - log_p.exp()) - log_p  # Leng et al. 2022, arXiv:2204.12511


class TrainCfg(Record):
    loss: LossCfg[Any] = CELossCfg()


YAML = """
type: Combine
terms: {ce: {type: CELoss}, poly: {type: PolyLoss, epsilon: 2, ignore_index: 255}}
weights: {poly: 0.5}
"""


if __name__ == "__main__":
    cfg = cli(TrainCfg).loss
    pred, target = torch.zeros(2, 4, 8, 8, requires_grad=True), torch.zeros(2, 8, 8, dtype=torch.int64)
    print(f"{cfg}: {build(cfg)(pred, target):.4f}")
    both = build(load(CombineCfg, YAML))
    both(pred, target).backward()
    print(*(f"{name}: {value:.4f}" for name, value in collect({"train": both}).items()), sep="\n")
