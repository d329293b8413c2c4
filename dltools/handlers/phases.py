"""What a step does, phase by phase, for people."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from dltools.handlers.update import takes_gate


def phases(cfg: Any, ranks: str, optimizer: Optimizer, norm_type: float | None, *, has_scale: bool) -> str:
    """A line per phase, in their order."""
    gates = [f"{skip}" for skip in cfg.skip] + ["the finite ones of fp16"] * has_scale
    parts = ["1/count", *(["unscale"] if has_scale else []), *([f"{cfg.clip}"] if cfg.clip else [])]
    how = "found_inf on the device" if takes_gate(optimizer) else "gate read on the host"
    told = {
        "scale": f"{cfg.amp}" if cfg.amp else "none",
        "backward": f"{cfg.accumulate.window} micro-batches of {cfg.accumulate.loss} losses",
        "reduce": ranks,
        "norm": "none" if norm_type is None else f"order {norm_type:g}",
        "gate": ", ".join(gates) or "none",
        "multiply": " x ".join(parts),
        "apply": f"{type(optimizer).__name__}, {how}",
        "zero": "gradients to None",
        "average": f"{cfg.average}" if cfg.average else "none",
        "schedule": f"on {cfg.schedule_on} updates" if cfg.schedule else "none",
        "meters": "grad_norm, clipped, skipped",
    }
    return "\n".join(["StepHandler", *(f"  {name}: {text}" for name, text in told.items())])
