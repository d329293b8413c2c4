"""Every loss by its names and defaults: a table by hand, so that none gets lost or changes without being noticed."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from typing import Any

import pytest

from dltools import functional, losses
from dltools.cfgutils import load
from dltools.losses import BalanceCfg, CELossCfg, LossCfg, WeightCfg
from dltools.losses.segmentation import utils
from tests.strategies import REQUIRED, example, required, subclasses

Entry = tuple[str, str, dict[str, Any]]
"""Name, other names, defaults; ``...`` for what has none."""
LOSS = {"reduction": "mean", "sync": "none", "check": False}
DENSE = LOSS | {"task": "multiclass", "holds": "logits", "ignore_index": None, "class_weights": None}
OVERLAP = DENSE | {"classes": None, "over": "batch", "empty": "skip"}
FIELD = DENSE | {"classes": None}
BOX = LOSS | {"fmt": "xyxy"}
SAMPLES = LOSS | {"ignore_index": None}
TWO = DENSE | {"task": "multilabel"}
LOVASZ = OVERLAP | {"method": "hist", "bins": 4096}
CLASSES = SAMPLES | {"num_classes": ..., "dim": ..., "scale": 64.0}
FEATURES = LOSS | {"weights": None}
SSIM = LOSS | {"data_range": 1.0, "window": 11, "sigma": 1.5}
COCO = (0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087)
TABLE: dict[str, list[Entry]] = {
    "probabilistic": [
        ("CELoss", "CE CrossEntropyLoss", DENSE | {"label_smoothing": 0.0}),
        ("BCELoss", "BCE", DENSE | {"task": "binary", "pos_weight": 1.0, "label_smoothing": 0.0}),
        ("NLLLoss", "NLL", DENSE | {"holds": "log_probs"}),
        ("KLLoss", "KL", DENSE | {"temperature": 1.0, "target_holds": "probs"}),
        ("FocalLoss", "", DENSE | {"gamma": 2.0, "alpha": None, "normalizer": "valid"}),
        ("PolyLoss", "", DENSE | {"epsilon": 1.0}),
        ("GaussianNLLLoss", "", LOSS | {"eps": 1e-6, "full": False}),
        ("PoissonNLLLoss", "", LOSS | {"log_input": True, "full": False, "eps": 1e-8}),
        ("JSLoss", "", DENSE),
        ("CTCLoss", "", SAMPLES | {"blank": 0}),
        ("HardestPixelsLoss", "OHEM", LOSS | {"loss": CELossCfg(), "share": 0.25}),
    ],
    "magnitude": [
        ("L1Loss", "L1 MAELoss MAE", LOSS),
        ("MSELoss", "MSE L2Loss", LOSS),
        ("HuberLoss", "Huber", LOSS | {"delta": 1.0}),
        ("SmoothL1Loss", "", LOSS | {"beta": 1.0}),
        ("LogCoshLoss", "", LOSS),
        ("CharbonnierLoss", "", LOSS | {"eps": 1e-3}),
        ("QuantileLoss", "", LOSS | {"q": 0.5}),
        ("CosineLoss", "", LOSS),
    ],
    "statistical": [
        ("DiceLoss", "F1Loss SoftDICE SoftDiceLoss", OVERLAP),
        ("FBetaLoss", "", OVERLAP | {"beta": 1.0}),
        ("TverskyLoss", "TverskiyLoss", OVERLAP | {"alpha": 0.5, "beta": 0.5}),
        ("FocalTverskyLoss", "", OVERLAP | {"alpha": 0.5, "beta": 0.5, "gamma": 0.75}),
        ("LovaszSoftmaxLoss", "LovaszSoftmax", LOVASZ),
        ("LovaszHingeLoss", "", LOVASZ | {"task": "binary"}),
        ("MCCLoss", "", OVERLAP),
    ],
    "detection": [
        ("IoULoss", "MIoULoss MIoU", BOX),
        ("GIoULoss", "", BOX),
        ("DIoULoss", "", BOX),
        ("CIoULoss", "", BOX),
        ("EIoULoss", "", BOX),
        ("SIoULoss", "", BOX | {"theta": 4.0}),
        ("AlphaIoULoss", "", BOX | {"alpha": 3.0}),
        ("MPDIoULoss", "", BOX | {"image_size": ...}),
        ("NWDLoss", "", BOX | {"constant": 12.8}),
        ("MAPLoss", "MAP", LOSS | {"tau": 0.01}),
        ("QualityFocalLoss", "", TWO | {"beta": 2.0, "normalizer": "valid"}),
        ("VarifocalLoss", "", TWO | {"alpha": 0.75, "gamma": 2.0, "normalizer": "valid"}),
        ("DFLoss", "", LOSS),
    ],
    "segmentation.geometric": [
        ("SurfaceLoss", "", FIELD | {"target_holds": "mask"}),
        ("Surface2EdgeLoss", "", FIELD | {"edge_weight": 1.0}),
    ],
    "segmentation.boundary": [
        ("BoundaryLoss", "", FIELD | {"target_holds": "mask"}),
        ("HausdorffLoss", "HausdorffDTLoss", FIELD | {"alpha": 2.0}),
        ("HausdorffERLoss", "", FIELD | {"alpha": 2.0, "erosions": 10}),
        ("BoundaryF1Loss", "", OVERLAP | {"width": 1, "tolerance": 2}),
    ],
    "segmentation.region": [
        ("JaccardLoss", "SoftIoU SoftIoULoss", OVERLAP),
        ("GDiceLoss", "GDice GeneralizedDiceLoss", OVERLAP | {"weighting": "square"}),
        ("SqDiceLoss", "SqDice", OVERLAP),
        ("SqJaccardLoss", "SqJaccard", OVERLAP),
        ("CLDiceLoss", "", OVERLAP | {"iterations": 10}),
        ("DiceLoss", "F1Loss SoftDICE SoftDiceLoss", OVERLAP),
        ("TverskyLoss", "TverskiyLoss", OVERLAP | {"alpha": 0.5, "beta": 0.5}),
    ],
    "classification": [
        ("SoftMarginLoss", "", TWO),
        ("MultiMarginLoss", "", DENSE | {"margin": 1.0, "power": 1}),
        ("AsymmetricLoss", "", TWO | {"gamma_pos": 1.0, "gamma_neg": 4.0, "clip": 0.05}),
        ("LogitAdjustedLoss", "", DENSE | {"class_counts": ..., "tau": 1.0}),
        ("LDAMLoss", "", DENSE | {"class_counts": ..., "max_margin": 0.5, "scale": 30.0}),
    ],
    "keypoints": [
        ("WingLoss", "", LOSS | {"w": 10.0, "eps": 2.0}),
        ("AdaptiveWingLoss", "", LOSS | {"alpha": 2.1, "omega": 14.0, "eps": 1.0, "theta": 0.5}),
        ("OKSLoss", "", LOSS | {"sigmas": (*COCO, 0.089, 0.089)}),
        ("HeatmapLoss", "", LOSS),
        ("GaussianFocalLoss", "", TWO | {"alpha": 2.0, "beta": 4.0, "normalizer": "positives"}),
    ],
    "metric_learning": [
        ("TripletLoss", "", SAMPLES | {"margin": 0.2, "mining": "semihard", "distance": "squared"}),
        ("ContrastiveLoss", "", SAMPLES | {"margin": 1.0}),
        ("NTXentLoss", "InfoNCELoss", SAMPLES | {"temperature": 0.1}),
        ("SupConLoss", "", SAMPLES | {"temperature": 0.1}),
        ("MultiSimilarityLoss", "", SAMPLES | {"alpha": 2.0, "beta": 50.0, "base": 1.0, "epsilon": 0.1}),
        ("ArcFaceLoss", "", CLASSES | {"margin": 0.5}),
        ("CosFaceLoss", "", CLASSES | {"margin": 0.35}),
    ],
    "adversarial": [
        ("NSGANLoss", "", LOSS | {"side": "discriminator"}),
        ("LSGANLoss", "", LOSS | {"side": "discriminator"}),
        ("HingeGANLoss", "", LOSS | {"side": "discriminator"}),
        ("WGANLoss", "", LOSS | {"side": "discriminator"}),
        ("PerceptualLoss", "", FEATURES | {"distance": "mse"}),
        ("StyleLoss", "", FEATURES | {"distance": "mse"}),
        ("FeatureMatchingLoss", "", FEATURES | {"distance": "l1"}),
        ("SSIMLoss", "", SSIM),
        ("MSSSIMLoss", "", SSIM | {"weights": (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)}),
        ("TVLoss", "", LOSS),
    ],
    "": [("Combine", "", LOSS | {"terms": ..., "weights": {}, "routes": {}, "balance": None})],
}
entries = pytest.mark.parametrize(
    ("group", "name", "others", "defaults"),
    [(group, *entry) for group, entries in TABLE.items() for entry in entries],
    ids=lambda x: x if isinstance(x, str) else "",
)


def fields_of(cfg: type[Any]) -> dict[str, Any]:
    absent = dataclasses.MISSING
    found = {f.name: f.default if f.default_factory is absent else f.default_factory() for f in dataclasses.fields(cfg)}
    return {name: ... if value is absent else value for name, value in found.items()}


@entries
def test_names_and_defaults(group: str, name: str, others: str, defaults: dict[str, Any]) -> None:
    product, cfg = getattr(losses, name), getattr(losses, f"{name}Cfg")
    assert fields_of(cfg) == defaults
    package = importlib.import_module(f"dltools.losses.{group}".rstrip("."))
    for other in (name, *others.split()):
        for place in (losses, package):
            assert {other, f"{other}Cfg"} <= set(place.__all__)
            assert getattr(place, other) is product
            assert getattr(place, f"{other}Cfg") is cfg
        needed = {field: REQUIRED[field] for field in required(cfg)}
        loaded = load(LossCfg, json.dumps({"type": other, **needed}))
        assert loaded == example(cfg)
        assert type(loaded.build()) is product


def test_no_loss_is_missing_from_the_table() -> None:
    named = {getattr(losses, f"{name}Cfg") for entries in TABLE.values() for name, *_ in entries}
    assert {cfg for cfg in subclasses(LossCfg) if cfg.tag and cfg.__module__.startswith("dltools.")} == named


def test_balances_and_weights_of_terms() -> None:
    defaults = {
        "Uncertainty": {},
        "EmaNorm": {"decay": 0.99},
        "LinearWeight": {"first": ..., "last": ..., "steps": ..., "delay": 0},
        "CosineWeight": {"first": ..., "last": ..., "steps": ..., "delay": 0},
        "PiecewiseWeight": {"values": ..., "boundaries": ...},
    }
    for name, fields in defaults.items():
        cfg = getattr(losses, f"{name}Cfg")
        assert fields_of(cfg) == fields
        assert issubclass(cfg, WeightCfg if name.endswith("Weight") else BalanceCfg)
        assert hasattr(losses, name)


def test_a_boundary_is_a_surface() -> None:
    assert losses.SurfaceLoss is losses.BoundaryLoss
    assert losses.SurfaceLossCfg is losses.BoundaryLossCfg


READ = "task='multiclass', holds='logits', ignore_index=None, mask=None, weight_map=None, over='batch')"
MAP = "(mask, *, signed=False, spacing=None, backend='auto')"
PAIRS = "(a, b, *, pairwise=False)"
ROWS = "(x, weight, target, *, bias=None, ignore_index=-100, label_smoothing=0.0, reduction='mean', chunk=None)"


@pytest.mark.parametrize(
    ("place", "name", "signature"),
    [
        (losses, "sync_sums", "(sums, sync, group=None)"),
        (losses, "r1_penalty", "(critic, real)"),
        (losses, "gradient_penalty", "(critic, real, fake, *, share=None)"),
        (losses, "pcgrad", "(losses, params, *, sync='none', generator=None)"),
        (losses, "gradnorm", "(losses, weights, first, params, *, alpha=1.5, sync='none')"),
        (losses, "from_module", "(module, *, sync='none')"),
        (functional, "one_pass", f"(pred, target, *, {READ}"),
        (functional, "hard_counts", f"(pred, target, *, num_classes, {READ}".replace("holds='logits', ", "")),
        (functional, "distance_map", MAP),
        (functional, "soft_edges", "(x)"),
        (functional, "box_area", "(x)"),
        *((functional, f"box_{kind}", PAIRS) for kind in ("iou", "giou", "diou", "ciou")),
        (functional, "box_convert", "(x, src, dst)"),
        (functional, "linear_cross_entropy", ROWS),
        (utils, "distance_map", MAP),
        (utils, "soft_edges", "(x)"),
        (utils, "class_weights", "(counts, method='balanced', *, beta=0.99, scale='none')"),
    ],
)
def test_functions(place: Any, name: str, signature: str) -> None:
    assert name in place.__all__
    found = inspect.signature(getattr(place, name))
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    assert str(inspect.Signature(plain)) == signature
