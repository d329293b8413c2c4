"""A loss of one's own, defined in a script: at once in YAML, on the command line and in a search.

python examples/own_loss.py loss=PowerLoss loss.p=3
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dltools.cfgutils import Positive, Record, build, cli, load, sample, uniform
from dltools.functional.overlap import OverlapCounts
from dltools.losses import LossCfg, OverlapLoss, OverlapLossCfg


class PowerLossCfg(OverlapLossCfg["PowerLoss"]):
    p: Positive = 2.0


class PowerLoss(OverlapLoss[PowerLossCfg]):
    def score(self, counts: OverlapCounts) -> Tensor:
        return (2 * counts.inter / (counts.pred + counts.target)) ** self.cfg.p


class TrainCfg(Record):
    loss: LossCfg[Any] = PowerLossCfg()


if __name__ == "__main__":
    pred, target = torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
    for cfg in (
        cli(TrainCfg),
        load(TrainCfg, "loss: {type: PowerLoss, p: 1}"),
        sample(TrainCfg(loss=PowerLossCfg(p=uniform(1, 3))), seed=0),
    ):
        print(f"{cfg.loss}: {build(cfg.loss)(pred, target):.4f}")
