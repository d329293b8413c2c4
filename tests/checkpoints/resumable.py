"""A training with every source of randomness; run as a program with FOLDER WORKERS pairs it prints their losses."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dltools.checkpoints import RunCfg, StoreCfg
from dltools.data import Loader
from dltools.optim import AdamWCfg


class Noisy:
    """80 samples, each with draws of the three global generators."""

    def __len__(self) -> int:
        return 80

    def __getitem__(self, i: int) -> Tensor:
        noise = torch.rand(6) + random.random() + np.random.rand()
        return torch.arange(6.0) * i / 80 + noise


def train(root: Path, workers: int, stop: int, total: int = 30) -> list[str]:
    """Losses, exactly, of the steps up to ``stop``."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 1))
    optimizer = AdamWCfg(lr=1e-2).build(net)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    store = StoreCfg(root=root, min_free_gb=0).build()
    run = RunCfg(total_steps=total, seed=1).build(store, {"model": net, "optim": optimizer, "schedule": schedule})
    loader = Loader(Noisy(), batch_size=8, workers=workers)
    losses = []
    for step, x in run.steps(loader):
        loss = (net(x * (1 + 0.1 * torch.randn(8, 1))) - x.mean(1, keepdim=True) * random.random()).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item().hex())
        if step == stop:
            run.save()
            break
    loader.close()
    return losses


if __name__ == "__main__":
    torch.set_num_threads(1)
    for folder, workers in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        print(folder, *train(Path(folder), int(workers), 30))
