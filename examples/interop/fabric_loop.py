"""dltools' step under Lightning Fabric, which starts the processes and places model and data.

python examples/interop/fabric_loop.py
"""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dltools.cfgutils import build
from dltools.handlers import AccumulateCfg, ClipNormCfg, EmaCfg, StepHandlerCfg
from dltools.meters import collect
from dltools.optim import AdamWCfg, CosineScheduleCfg, SchedulerCfg

STEP = StepHandlerCfg(
    accumulate=AccumulateCfg(window=4),
    clip=ClipNormCfg(max_norm=0.5),
    average=EmaCfg(decay=0.9),
    schedule=SchedulerCfg(lr=CosineScheduleCfg(warmup_steps=2)),
)


def main() -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    torch.manual_seed(0)
    x = torch.randn(240, 16)
    loader = fabric.setup_dataloaders(DataLoader(TensorDataset(x, x[:, :1].sin()), batch_size=8))
    model = fabric.setup_module(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1)))

    step = build(STEP, model, build(AdamWCfg(lr=0.01), model), total_updates=3 * 8)
    for _ in range(3):
        for inputs, targets in loader:
            with step.forward():
                loss = nn.functional.mse_loss(model(inputs), targets)
            step(loss, count=len(inputs))  # in place of fabric.backward, clip_gradients and optimizer.step
        step.flush()
    told = "  ".join(f"{name} {value:.6f}" for name, value in collect({"step": step}).items())
    fabric.print(f"{step.num_updates} updates  {told}")


if __name__ == "__main__":
    main()
