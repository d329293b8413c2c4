"""A training script of one's own: a loop over a Loader's batches that may be stopped at any moment and goes on.

python examples/extend/policy.py out=runs/mine loss=FocalLoss run.total_steps=60     # again with 90: goes on from 60
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from dltools.cfgutils import PositiveInt, Record, build, cli
from dltools.checkpoints import RunCfg, StoreCfg
from dltools.data import Loader, LoaderCfg, SequentialSamplerCfg, digits
from dltools.handlers import ClipNormCfg, StepHandlerCfg
from dltools.losses import CELossCfg, LossCfg
from dltools.meters import Report, collect
from dltools.metrics import AccuracyCfg, Metrics, MetricsCfg
from dltools.optim import AdamWCfg, OptimCfg
from dltools.rng import key, seeded
from dltools.writers import MultiWriter


class TrainCfg(Record):
    out: Path = Path("runs/mine")
    seed: int = 0
    loader: LoaderCfg = LoaderCfg(batch_size=64, last="drop")
    loss: LossCfg[Any] = CELossCfg()
    metrics: MetricsCfg = MetricsCfg(members={"acc": AccuracyCfg(num_classes=10)})
    optim: OptimCfg[Any] = AdamWCfg(lr=1e-2)
    step: StepHandlerCfg = StepHandlerCfg(clip=ClipNormCfg(max_norm=1.0))
    run: RunCfg = RunCfg(total_steps=60)
    store: StoreCfg = StoreCfg()
    eval_steps: PositiveInt = 30


def main(cfg: TrainCfg) -> Report:
    with seeded(key(cfg.seed, "weights")):
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
    train = build(cfg.loader.replace(seed=cfg.seed), digits("train"))
    test = build(cfg.loader.replace(sampler=SequentialSamplerCfg(), last="ragged"), digits("test"))
    loss, metrics, optimizer = build(cfg.loss), build(cfg.metrics), build(cfg.optim, net)
    step = build(cfg.step, net, optimizer, cfg.run.total_steps)
    report = Report({})
    with MultiWriter(dir=str(cfg.out)) as writer:
        meters = {"loss": loss.meters, "metrics": metrics}
        parts = {"model": net, "optim": optimizer, "step": step, "writer": writer, **meters}
        run = build(cfg.run.replace(seed=cfg.seed), build(cfg.store.replace(root=cfg.out / "checkpoints")), parts)
        for i, batch in run.steps(train):
            with step.forward():
                value = loss(net(batch["image"]), batch["label"])
            step(value)
            if i % cfg.eval_steps == 0:
                evaluate(net, test, metrics)
                report = collect({"train": loss, "val": metrics, "step": step}, reset=True)
                writer.scalars(report, i)
                run.save(report)
                print(f"step {i}: train/loss {report['train/loss']:.6f}, val/acc {report['val/acc']:.4f}")
    return report


def evaluate(net: nn.Module, test: Loader, metrics: Metrics) -> None:
    net.eval()
    with torch.inference_mode():
        for batch in test:
            metrics.update(net(batch["image"]), batch["label"])
    net.train()


if __name__ == "__main__":
    main(cli(TrainCfg))
