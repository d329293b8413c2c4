"""Image classification: a network trained on images and labels, followed on a test set; curves and a matrix are left.

``dltools run classification``: scikit-learn's digits; ``ClassificationPolicy(...).run((train, test))``: one's own data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from dltools.augs import GeometryCfg, PresetCfg
from dltools.cfgutils import Component, PositiveInt, build, cli
from dltools.checkpoints import RunCfg, StoreCfg
from dltools.data import Loader, LoaderCfg, SequentialSamplerCfg, Source, digits, to_device
from dltools.handlers import EmaCfg, StepHandlerCfg
from dltools.losses import CELossCfg, Combine, Loss, LossCfg
from dltools.meters import Report, collect
from dltools.metrics import AccuracyCfg, ConfusionMatrixCfg, F1Cfg, Metrics, MetricsCfg, TargetCfg
from dltools.models import LinearHeadCfg, ModelCfg, NetCfg, SmallCnnCfg
from dltools.optim import AdamWCfg, OneCycleScheduleCfg, OptimCfg, SchedulerCfg
from dltools.policies.base import PolicyCfg
from dltools.policies.folder import begin, finish
from dltools.rng import key, seeded
from dltools.visualizers import confusion_matrix
from dltools.writers import ConsoleWriterCfg, MultiWriterCfg, TensorBoardWriterCfg, progress


class ClassificationPolicyCfg(PolicyCfg["ClassificationPolicy"]):
    eval_steps: PositiveInt = 42
    """Evaluate, log and save every so many steps."""
    model: NetCfg[Any] = ModelCfg(backbone=SmallCnnCfg(in_channels=1), heads={"label": LinearHeadCfg(num_outputs=10)})
    loss: LossCfg[Any] = CELossCfg(label_smoothing=0.05)
    metrics: MetricsCfg = MetricsCfg(
        members={
            "acc": AccuracyCfg(num_classes=10),
            "f1": F1Cfg(num_classes=10),
            "confusion": ConfusionMatrixCfg(num_classes=10),
        }
    )
    optim: OptimCfg[Any] = AdamWCfg(lr=4e-3)
    step: StepHandlerCfg = StepHandlerCfg(
        average=EmaCfg(decay=0.99, warmup="ramp"), schedule=SchedulerCfg(lr=OneCycleScheduleCfg())
    )
    loader: LoaderCfg = LoaderCfg(batch_size=64, last="drop")
    aug: PresetCfg = PresetCfg(
        size=(8, 8), strength="none", normalize=None, geometry=GeometryCfg(rotate=10.0, scale=0.125, translate=0.0875)
    )
    run: RunCfg = RunCfg(total_steps=504)
    store: StoreCfg = StoreCfg(target=TargetCfg(expr="val/acc"))
    writer: MultiWriterCfg = MultiWriterCfg(
        writers={"tensorboard": TensorBoardWriterCfg(), "console": ConsoleWriterCfg(keys="*loss,val/acc,val/f1")}
    )


class ClassificationPolicy(Component[ClassificationPolicyCfg]):
    """Trains a network on (image, label) samples; evaluates its running average if the step handler keeps one.

    Samples are mappings with ``image`` (H, W, C) and ``label`` (int); the network's head is called ``label``. ``run``
    gives the report of the last weights on the test set: accuracy 99 % on the second half of the digits.
    """

    def run(self, data: tuple[Source, Source] | None = None) -> Report:
        """Train, or go on where an earlier process stopped; ``data``: a training and a test set of one's own."""
        cfg, aug = begin(self.cfg), build(self.cfg.aug)
        train_set, test_set = data or (digits("train"), digits("test"))
        train = build(cfg.loader, train_set, aug)
        test = build(cfg.loader.replace(sampler=SequentialSamplerCfg(), last="ragged"), test_set, aug.deterministic)
        with seeded(key(cfg.seed, "weights")):
            model = build(cfg.model).to(cfg.device)
        optimizer = build(cfg.optim, model)
        step = build(cfg.step, model, optimizer, -(-cfg.run.total_steps // cfg.step.accumulate.window))
        criterion, val_loss = build(cfg.loss), build(cfg.loss)
        metrics = build(cfg.metrics)
        evaluated = step.average.module if step.average else model

        with build(cfg.writer) as writer:
            writer.hparams(cfg)
            meters = {"loss": criterion, "loss_meters": criterion.meters}
            parts = {"model": model, "optim": optimizer, "step": step, **meters, "writer": writer}
            run = build(cfg.run, build(cfg.store), parts)
            for i, batch in progress(run.steps(train), cfg.run.total_steps - run.step, desc="training"):
                batch = to_device(batch, cfg.device)
                with step.forward():
                    loss = criterion(model(batch["image"])["label"], batch["label"])
                step(loss)
                if isinstance(criterion, Combine):
                    criterion.step(i)  # the schedules of its weights
                if i % cfg.eval_steps == 0:
                    self.evaluate(evaluated, test, val_loss, metrics)
                    report = collect({"train": criterion, "val": {"": val_loss, **metrics}, "step": step}, reset=True)
                    writer.scalars({**report, "lr": optimizer.param_groups[0]["lr"]}, i)
                    if ref := run.save(report):
                        writer.artifact(ref, kind="checkpoint", step=i)
            step.flush()
            self.evaluate(evaluated, test, val_loss, metrics)
            report = collect({"val": {"": val_loss, **metrics}})
            matrix = report.data("val/confusion") if "val/confusion" in report else {}
            pictures = {"confusion": confusion_matrix(matrix["matrix"], list(matrix["classes"]))} if matrix else {}
            finish(cfg, writer, report, pictures)
        return report

    def evaluate(self, model: nn.Module, test: Loader, loss: Loss[Any], metrics: Metrics) -> None:
        """Fill the loss's meters and the metrics with the whole test set."""
        model.eval()
        with torch.inference_mode():
            for batch in test:
                batch = to_device(batch, self.cfg.device)
                out = model(batch["image"])["label"]
                loss(out, batch["label"])
                metrics.update(out, batch["label"])
        model.train()


PRESETS = {"classification": ClassificationPolicyCfg(out=Path("runs/digits"))}

if __name__ == "__main__":
    build(cli(ClassificationPolicyCfg)).run()
