"""Synthetic images with objects and detections whose sizes, classes and mistakes are spread about as those of COCO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Call = Callable[[], Any]

Array = NDArray[Any]
CANVAS = np.array([640, 480])


class Image(NamedTuple):
    """One image: boxes are x1 y1 x2 y2 in pixels."""

    gt_boxes: Array
    gt_labels: Array
    gt_crowd: Array
    boxes: Array
    scores: Array
    labels: Array


def draw(
    num_images: int = 2000, num_classes: int = 80, seed: int = 0, objects: int = 7, alarms: int = 20
) -> list[Image]:
    """Images with Poisson numbers of objects and false alarms; 85 % of the objects are found, some of them twice.

    With these defaults pycocotools gives a mean average precision of 0.414256920781 to the boxes.
    """
    rng, rank = np.random.default_rng(seed), np.arange(1, num_classes + 1)
    share = 1 / rank / (1 / rank).sum()
    return [_image(rng, share, objects, alarms) for _ in range(num_images)]


def _image(rng: np.random.Generator, share: Array, objects: int, alarms: int) -> Image:
    n = rng.poisson(objects)
    gt, size = _places(rng, n)
    gt_labels = rng.choice(len(share), n, p=share)
    crowd = rng.random(n) < 0.01
    found = rng.random(n) < 0.85
    hits, wide, kinds = _off(rng, gt[found], size[found], 0.08), size[found], gt_labels[found]
    hit_scores = rng.beta(4, 2, len(hits))
    again = rng.random(len(hits)) < 0.3
    doubles = _off(rng, hits[again], wide[again], 0.15)
    double_scores = rng.beta(2, 3, len(doubles))
    m = rng.poisson(alarms)
    boxes = np.concatenate([hits, doubles, _places(rng, m)[0]]).astype(np.float32)
    scores = np.concatenate([hit_scores, double_scores, rng.beta(1, 5, m)]).astype(np.float32)
    labels = np.concatenate([kinds, kinds[again], rng.choice(len(share), m, p=share)])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    return Image(gt.astype(np.float32), gt_labels, crowd.astype(np.int64), boxes, scores, labels)


def _places(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Boxes of log-normal size, and their sizes."""
    size = np.exp(rng.normal(4.2, 1.0, (n, 2))).clip(4, 400)
    corner = rng.uniform(0, 1, (n, 2)) * (CANVAS - size.clip(max=470))
    return np.concatenate([corner, corner + size], 1), size


def _off(rng: np.random.Generator, boxes: Array, size: Array, share: float) -> Array:
    """Boxes whose corners are off by a share of their size."""
    found: Array = boxes + rng.normal(0, share, (len(boxes), 4)) * np.tile(size, 2)
    return found


def as_tensors(image: Image) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    given = {name: torch.from_numpy(x) for name, x in image._asdict().items()}
    pred = {name: given[name] for name in ("boxes", "scores", "labels")}
    return pred, {"boxes": given["gt_boxes"], "labels": given["gt_labels"], "iscrowd": given["gt_crowd"]}


def faster_coco_eval(images: list[Image]) -> Call:
    from faster_coco_eval import COCO, COCOeval_faster

    def dicts(image: int, boxes: Any, labels: Any, **more: Any) -> list[dict[str, Any]]:
        sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).tolist()
        columns = {"bbox": sides, "category_id": labels.tolist(), **{key: x.tolist() for key, x in more.items()}}
        return [
            {"image_id": image, "area": box[2] * box[3], **dict(zip(columns, values, strict=True))}
            for box, *values in zip(sides, *columns.values(), strict=True)
        ]

    def run() -> Any:
        truth, found = [], []
        for i, one in enumerate(images):
            truth += dicts(i, one.gt_boxes, one.gt_labels, iscrowd=one.gt_crowd)
            found += dicts(i, one.boxes, one.labels, score=one.scores)
        known = COCO()
        known.dataset = {
            "images": [{"id": i} for i in range(len(images))],
            "categories": [{"id": c, "name": str(c)} for c in range(80)],
            "annotations": [{"id": i, **one} for i, one in enumerate(truth, 1)],
        }
        known.createIndex()
        run = COCOeval_faster(known, known.loadRes(found), "bbox", print_function=lambda *_: None)
        run.evaluate()
        run.accumulate()
        run.summarize()
        return run.stats[0]

    return run


def torchmetrics_map(preds: Any, targets: Any) -> Call:
    from torchmetrics.detection.mean_ap import MeanAveragePrecision

    def run() -> Any:
        metric = MeanAveragePrecision(backend="faster_coco_eval")
        for i in range(0, len(preds), 16):
            metric.update(preds[i : i + 16], targets[i : i + 16])
        return metric.compute()

    run()
    return run
