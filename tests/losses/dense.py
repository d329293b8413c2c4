"""Every loss of logits and labels, for each of its tasks, with options that change what it computes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dltools import losses
from dltools.errors import ConfigError
from dltools.losses import DenseLossCfg, HardestPixelsLossCfg, LossCfg
from tests.strategies import example, subclasses

for _name in losses.__all__:
    getattr(losses, _name)
CHANNELS = {"multiclass": 3, "multilabel": 3, "binary": 1}
ONLY_LOGITS = ("LDAMLoss", "LogitAdjustedLoss", "LovaszHingeLoss", "MultiMarginLoss")
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "AsymmetricLoss": [{"clip": 0.0, "gamma_pos": 0.5, "gamma_neg": 0.5}],
    "BCELoss": [{"pos_weight": 3.0, "label_smoothing": 0.2}],
    "CELoss": [{"label_smoothing": 0.2}],
    "DiceLoss": [{"over": "sample"}, {"empty": "score"}, {"empty": "zero", "over": "sample"}, {"classes": (0,)}],
    "FocalLoss": [{"gamma": 0.5}, {"gamma": 1.5, "alpha": 0.3, "normalizer": "positives"}],
    "GDiceLoss": [{"weighting": "simple", "over": "sample"}],
    "HausdorffLoss": [{"alpha": 0.5, "classes": (0,)}],
    "KLLoss": [{"temperature": 2.0}, {"target_holds": "logits"}],
    "LovaszHingeLoss": [{"method": "exact"}],
    "LovaszSoftmaxLoss": [{"method": "exact"}, {"over": "sample", "empty": "score"}],
    "MultiMarginLoss": [{"power": 2}],
    "TverskyLoss": [{"alpha": 0.0, "beta": 0.0}],
}
"""Beside the defaults."""
FEWER: dict[str, dict[str, Any]] = {"CLDiceLoss": {"iterations": 2}, "HausdorffERLoss": {"erosions": 3}}
"""In the place of defaults: more of the same takes its time."""


def _every() -> dict[str, LossCfg[Any]]:
    found: dict[str, LossCfg[Any]] = {}
    classes = [cls for cls in subclasses(DenseLossCfg) if cls.tag and cls.__module__.startswith("dltools.")]
    for cls in sorted(classes, key=lambda cls: cls.tag):
        for task in CHANNELS:
            for options in ({}, *OPTIONS.get(cls.tag, [])):
                with contextlib.suppress(ConfigError):  # it has no such task
                    cfg = example(cls).replace(task=task, **FEWER.get(cls.tag, {}), **options)
                    found[" ".join([cls.tag, task, *map(str, options.values())])] = cfg
    for task in CHANNELS:
        found[f"HardestPixelsLoss {task}"] = HardestPixelsLossCfg(loss={"type": "CELoss", "task": task})
    return found


EVERY = _every()
every = pytest.mark.parametrize("cfg", EVERY.values(), ids=EVERY.keys())


def reads(cfg: LossCfg[Any]) -> DenseLossCfg[Any]:
    """The config that says how prediction and target are read."""
    found: DenseLossCfg[Any] = cfg.loss if isinstance(cfg, HardestPixelsLossCfg) else cfg
    return found


def changed(cfg: LossCfg[Any], **fields: Any) -> LossCfg[Any]:
    """Other values for fields, each where it belongs; skips a test of what a config refuses."""
    try:
        if isinstance(cfg, HardestPixelsLossCfg):
            own = {name: value for name, value in fields.items() if name in ("reduction", "sync")}
            rest = {name: value for name, value in fields.items() if name not in own}
            return cfg.replace(loss=cfg.loss.replace(**rest), **own)
        return cfg.replace(**fields)
    except ConfigError as error:
        pytest.skip(str(error))


def by_pixels(cfg: LossCfg[Any]) -> bool:
    """Whether it does not matter where a pixel is."""
    spatial = "Boundary BoundaryF1 CLDice Hausdorff HausdorffER Surface2Edge".split()
    return cfg.tag.removesuffix("Loss") not in spatial


def takes_shares(cfg: LossCfg[Any]) -> bool:
    """Whether targets may be soft."""
    return cfg.tag not in ("LDAMLoss", "MultiMarginLoss")


def by_size(cfg: LossCfg[Any]) -> bool:
    """Whether a mean is normalised by what counts, and not by positives."""
    return getattr(reads(cfg), "normalizer", "valid") == "valid"


def weights(cfg: LossCfg[Any], scale: float = 1.0) -> tuple[float, ...]:
    return tuple(scale * x for x in (1.0, 2.0, 0.5)[: CHANNELS[reads(cfg).task]])


def held(logits: Tensor, cfg: LossCfg[Any]) -> Tensor:
    """Logits as what a loss holds."""
    log_p = logits.log_softmax(1) if reads(cfg).task == "multiclass" else F.logsigmoid(logits)
    return {"logits": logits, "log_probs": log_p, "probs": log_p.exp()}[reads(cfg).holds]


def slope(loss: Any, pred: Tensor, target: Tensor, **extra: Any) -> tuple[Tensor, Tensor]:
    """A loss and its gradient."""
    pred = pred.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    value = loss(pred, target, **extra)
    (grad,) = torch.autograd.grad(value.sum(), pred)
    return value.detach(), grad
