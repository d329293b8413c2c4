"""The same training loop in several libraries: windows of four micro-batches, clipped, skipped if not finite."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dltools.cfgutils import build
from dltools.handlers import AccumulateCfg, ClipNormCfg, StepHandlerCfg
from dltools.optim import AdamWCfg

WINDOW, MAX_NORM = 4, 1.0
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
Loop = Callable[["Batches"], None]


class Batches:
    """The same batch again and again; knows how long those took that count. A last window ends what they began."""

    def __init__(self, warm: int, counted: int) -> None:
        self.batch = torch.randn(8, 16), torch.randn(8, 1)
        self.warm, self.counted = warm, counted
        self.times: list[float] = []

    def __len__(self) -> int:
        return self.warm + self.counted + WINDOW

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(len(self)):
            if i in (self.warm, self.warm + self.counted):
                self.times.append(time.process_time())
            yield self.batch

    @property
    def us(self) -> float:
        """Microseconds per micro-batch."""
        return (self.times[1] - self.times[0]) / self.counted * 1e6


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))


def by_hand(**options: Any) -> Loop:
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), **options)

    def loop(batches: Batches) -> None:
        for i, (x, y) in enumerate(batches):
            (F.mse_loss(model(x), y) / WINDOW).backward()
            if (i + 1) % WINDOW == 0:
                norm = nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
                if norm.isfinite():
                    optimizer.step()
                optimizer.zero_grad()

    return loop


def dltools() -> Loop:
    model = net()
    cfg = StepHandlerCfg(accumulate=AccumulateCfg(window=WINDOW), clip=ClipNormCfg(max_norm=MAX_NORM))
    step = build(cfg, model, build(AdamWCfg(), model))

    def loop(batches: Batches) -> None:
        for x, y in batches:
            with step.forward():
                loss = F.mse_loss(model(x), y)
            step(loss)

    return loop


def ignite() -> Loop:
    from ignite.engine import Engine

    model = net()
    optimizer = torch.optim.AdamW(model.parameters())

    def update(engine: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
        loss = F.mse_loss(model(batch[0]), batch[1])
        (loss / WINDOW).backward()
        if engine.state.iteration % WINDOW == 0:
            if nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM).isfinite():
                optimizer.step()
            optimizer.zero_grad()
        return loss

    return lambda batches: Engine(update).run(batches, max_epochs=1) and None


def fabric() -> Loop:
    from lightning.fabric import Fabric

    device = Fabric(accelerator="cpu", devices=1)
    plain = net()
    model, optimizer = device.setup(plain, torch.optim.AdamW(plain.parameters()))

    def loop(batches: Batches) -> None:
        for i, (x, y) in enumerate(batches):
            is_last = (i + 1) % WINDOW == 0
            with device.no_backward_sync(model, enabled=not is_last):
                device.backward(F.mse_loss(model(x), y) / WINDOW)
            if is_last:
                norm = device.clip_gradients(model, optimizer, max_norm=MAX_NORM, error_if_nonfinite=False)
                if norm is None or norm.isfinite():
                    optimizer.step()
                optimizer.zero_grad()

    return loop


def accelerate() -> Loop:
    from accelerate import Accelerator

    device = Accelerator(cpu=True, gradient_accumulation_steps=WINDOW)
    plain = net()
    model, optimizer = device.prepare(plain, torch.optim.AdamW(plain.parameters()))

    def loop(batches: Batches) -> None:
        for x, y in batches:
            with device.accumulate(model):
                device.backward(F.mse_loss(model(x), y))
                is_finite = not device.sync_gradients or device.clip_grad_norm_(model.parameters(), MAX_NORM).isfinite()
                if is_finite:
                    optimizer.step()
                optimizer.zero_grad()

    return loop


def lightning() -> Loop:
    """Its Trainer; without the check for non-finite gradients, which it does not have."""
    from lightning.pytorch import LightningModule, Trainer

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            return F.mse_loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters())

    def loop(batches: Batches) -> None:
        options = {"accumulate_grad_batches": WINDOW, "gradient_clip_val": MAX_NORM, "max_epochs": 1, **QUIET}
        with warnings.catch_warnings(action="ignore"):
            Trainer(accelerator="cpu", devices=1, **options).fit(Module(), batches)

    return loop


LOOPS: dict[str, Callable[[], Loop]] = {
    "by hand, unfused": by_hand,
    "dltools": dltools,
    "by hand, fused": lambda: by_hand(fused=True),
    "ignite": ignite,
    "Fabric": fabric,
    "Accelerate": accelerate,
    "Lightning": lightning,
}
