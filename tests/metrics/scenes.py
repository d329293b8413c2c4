"""What each metric takes: a config and samples, from which tests make any batches and splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dltools import metrics as dl
from dltools.metrics import MetricCfg

SIZE = 13
Inputs = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and named inputs of an update."""


def _gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _classes(num: int = 4) -> Inputs:
    return (torch.randn(SIZE, num, 5, generator=_gen()), torch.randint(0, num, (SIZE, 5), generator=_gen(1))), {}


def _flags() -> Inputs:
    return (torch.randn(SIZE, 6, generator=_gen()), torch.randint(0, 2, (SIZE, 6), generator=_gen(1))), {}


def _many() -> Inputs:
    return (torch.randn(SIZE, 4, generator=_gen()), torch.randint(0, 2, (SIZE, 4), generator=_gen(1))), {}


def _numbers() -> Inputs:
    x = torch.rand(SIZE, 3, generator=_gen(), dtype=torch.float64) + 0.1
    return (x + torch.rand(SIZE, 3, generator=_gen(1)) / 2, x), {}


def _vectors() -> Inputs:
    return (torch.randn(SIZE, 4, generator=_gen()), torch.randn(SIZE, 4, generator=_gen(1))), {}


def _images() -> Inputs:
    x = torch.rand(SIZE, 1, 12, 12, generator=_gen())
    return ((x + torch.randn(x.shape, generator=_gen(1)) / 10).clamp(0, 1), x), {}


def _maps() -> Inputs:
    x = torch.randint(0, 3, (SIZE, 8, 8), generator=_gen()) * (torch.rand(SIZE, 8, 8, generator=_gen(2)) < 0.5)
    return (x, torch.where(torch.rand(x.shape, generator=_gen(1)) < 0.2, 1, x)), {}


def _segments() -> Inputs:
    x = torch.randint(0, 2, (SIZE, 4, 4, 2), generator=_gen())
    return (x, torch.where(torch.rand(SIZE, 4, 4, 1, generator=_gen(1)) < 0.2, 1, x)), {}


def _embeddings() -> Inputs:
    return (torch.randn(SIZE, 4, generator=_gen()), torch.randint(0, 4, (SIZE,), generator=_gen(1))), {}


def _points() -> Inputs:
    x = torch.rand(SIZE, 3, 2, generator=_gen()) * 9
    visible = torch.rand(SIZE, 3, generator=_gen(2)) < 0.8
    return (x + torch.randn(x.shape, generator=_gen(1)), x), {"visible": visible}


def _texts() -> Inputs:
    words = ["the cat sat", "a dog", "on the mat", "it ran far away"]
    return ([words[i % 4] for i in range(SIZE)], [words[i * 3 % 4] + " x" * (i % 3) for i in range(SIZE)]), {}


def _boxes() -> Inputs:
    corner = torch.rand(SIZE, 4, 2, generator=_gen()) * 50
    truth = torch.cat([corner, corner + 5 + torch.rand(SIZE, 4, 2, generator=_gen(1)) * 40], 2)
    guess = truth + torch.randn(truth.shape, generator=_gen(2)) * 2
    labels = torch.randint(0, 2, (SIZE, 4), generator=_gen(3))
    scores = torch.rand(SIZE, 4, generator=_gen(4))
    preds = [{"boxes": b, "labels": c, "scores": s} for b, c, s in zip(guess, labels, scores, strict=True)]
    return (preds, [{"boxes": b, "labels": c} for b, c in zip(truth, labels, strict=True)]), {}


def _people() -> Inputs:
    x = torch.rand(SIZE, 2, 3, 2, generator=_gen()) * 90
    seen = torch.full((SIZE, 2, 3, 1), 2.0)
    guess = x + torch.randn(x.shape, generator=_gen(1)) * 4
    preds = [{"keypoints": p, "scores": s} for p, s in zip(guess, torch.rand(SIZE, 2, generator=_gen(2)), strict=True)]
    return (preds, [{"keypoints": p, "area": torch.tensor([5e3, 1e4])} for p in torch.cat([x, seen], 3)]), {}


def _index() -> Inputs:
    return (), {"index": torch.randint(0, 20, (SIZE,), generator=_gen())}


def _targets() -> Inputs:
    return (), {"target": torch.randint(0, 4, (SIZE,), generator=_gen())}


Scene = tuple[MetricCfg[Any], Callable[[], Inputs]]


def _each(names: str, make: Callable[[], Inputs], **fields: Any) -> dict[str, Scene]:
    return {name: (getattr(dl, f"{name}Cfg")(**fields), make) for name in names.split()}


NUM: dict[str, Any] = {"num_classes": 4}
LABELS: dict[str, Any] = {"num_classes": 3, "holds": "labels"}
RANKED = "AUROC AveragePrecision ROCCurve PRCurve FMax KolmogorovSmirnov"
COUNTING = {
    **_each("Accuracy BalancedAccuracy Precision Recall Specificity FBeta F1 IoU GeneralizedDice", _classes, **NUM),
    **_each("HammingLoss CohenKappa MatthewsCorrCoef ConfusionMatrix ClassificationReport", _classes, **NUM),
    **_each("TopKAccuracy", _classes, **NUM, k=2),
    **_each("ExactMatch", _many, **NUM),
    **_each("CalibrationError Reliability BrierScore LogLoss Perplexity", _classes),
    **_each(RANKED, _flags, task="binary"),
    **_each("RecallAtPrecision", _flags, task="binary", min_precision=0.5),
    **_each("PrecisionAtRecall", _flags, task="binary", min_recall=0.5),
    **_each("SensitivityAtSpecificity", _flags, task="binary", min_specificity=0.5),
    **_each("MAE MSE RMSE R2 ExplainedVariance MAPE SMAPE MSLE DepthErrors PearsonCorr ConcordanceCorr", _numbers),
    **_each("CosineSimilarity", _vectors),
    **_each("PSNR SSIM", _images),
    **_each("BoundaryIoU", _maps, **LABELS),
    **_each("PCK NME", _points, num_keypoints=3),
    **_each("Seen", _index, size=20),
    **_each("ClassStats", _targets, **NUM),
}
"""Those whose states are tensors of a fixed size: their updates run on any device without reading it."""
ON_THE_HOST = {
    **_each("SpearmanCorr KendallTau", _numbers),
    **_each("RecallAtK PrecisionAtK RPrecision MAPAtR MRR NDCG", _embeddings, dim=4),
    **_each("SurfaceDistance HausdorffDistance SurfaceDice", _maps, **LABELS),
    **_each("PanopticQuality", _segments, things=(1,), stuffs=(0,)),
    **_each("MeanAveragePrecision", _boxes, num_classes=2),
    **_each("BoxMIoU", _boxes),
    **_each("KeypointAP", _people, sigmas=(0.1, 0.2, 0.1)),
    **_each("CER WER", _texts),
}
"""Those that keep rows, or work on the host."""
EVERY = {**COUNTING, **ON_THE_HOST}


def part(inputs: Inputs, index: Sequence[int]) -> Inputs:
    """Some of the samples."""

    def pick(x: Any) -> Any:
        return x[list(index)] if isinstance(x, Tensor) else [x[i] for i in index]

    return tuple(map(pick, inputs[0])), {name: pick(x) for name, x in inputs[1].items()}
