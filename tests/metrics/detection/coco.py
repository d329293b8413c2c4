"""Detection sets with COCO-like statistics, and what pycocotools says of them."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Image = dict[str, torch.Tensor]


def images(
    num: int, classes: int, seed: int, *, objects: float = 4, false: float = 4, ties: bool = False
) -> tuple[list[Image], list[Image]]:
    """Predictions and targets on canvases of 200 pixels; some objects are crowds, some found twice, some missed."""
    rng = np.random.default_rng(seed)
    preds, targets = [], []
    for _ in range(num):
        n, m = rng.poisson(objects), rng.poisson(false)
        sides = np.exp(rng.normal(3.6, 1.0, (n, 2))).clip(3, 180)
        corner = rng.uniform(0, 1, (n, 2)) * (200 - sides)
        gt = np.concatenate([corner, corner + sides], 1)
        labels = rng.integers(0, classes, n)
        repeats = rng.choice([0, 1, 2], n, p=[0.15, 0.6, 0.25])
        again = np.repeat(np.arange(n), repeats)
        hits = gt[again] + rng.normal(0, 0.08, (len(again), 4)) * np.tile(sides[again], 2)
        other = rng.uniform(0, 150, (m, 2))
        boxes = np.concatenate([hits, np.concatenate([other, other + rng.uniform(2, 50, (m, 2))], 1)])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores = rng.random(len(boxes))
        preds.append(
            {
                "boxes": torch.from_numpy(boxes.round() if ties else boxes).float(),
                "scores": torch.from_numpy(scores.round(1) if ties else scores).float(),
                "labels": torch.from_numpy(np.concatenate([labels[again], rng.integers(0, classes, m)])),
            }
        )
        targets.append(
            {
                "boxes": torch.from_numpy(gt.round() if ties else gt).float(),
                "labels": torch.from_numpy(labels),
                "iscrowd": torch.from_numpy((rng.random(n) < 0.1).astype(np.int64)),
            }
        )
    return preds, targets


def with_masks(sets: list[Image], size: int = 200) -> list[Image]:
    """Ellipses in the place of boxes."""
    y, x = np.mgrid[:size, :size] + 0.5
    made = []
    for one in sets:
        masks = []
        for x1, y1, x2, y2 in one["boxes"].numpy():
            a, b = max((x2 - x1) / 2, 1), max((y2 - y1) / 2, 1)
            masks.append(((x - (x1 + x2) / 2) / a) ** 2 + ((y - (y1 + y2) / 2) / b) ** 2 <= 1)
        stacked = np.stack(masks) if masks else np.zeros((0, size, size), bool)
        made.append({**{k: v for k, v in one.items() if k != "boxes"}, "masks": torch.from_numpy(stacked)})
    return made


def _rle(mask: Any) -> Any:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def _row(one: Image, j: int, kind: str) -> dict[str, Any]:
    if kind == "keypoints":
        points = one["keypoints"][j].double().numpy()
        full = np.concatenate([points[:, :2], points[:, 2:] if points.shape[1] > 2 else np.ones((len(points), 1))], 1)
        row: dict[str, Any] = {"keypoints": full.reshape(-1).tolist(), "category_id": 0}
        if "area" in one:
            box = one["boxes"][j].double()
            row["bbox"] = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
            row |= {"area": float(one["area"][j]), "num_keypoints": int((points[:, 2] > 0).sum())}
        return row
    row = {"category_id": int(one["labels"][j])}
    if kind == "segm":
        rle = _rle(one["masks"][j].numpy())
        return {**row, "segmentation": rle, "area": float(coco_mask.area(rle))}
    box = one["boxes"][j].double()
    x, y, w, h = (*box[:2].tolist(), *(box[2:] - box[:2]).tolist())
    return {**row, "bbox": [x, y, w, h], "area": float(one["area"][j]) if "area" in one else w * h}


def pycocotools(
    preds: list[Image], targets: list[Image], classes: int, kind: str = "bbox", **params: Any
) -> list[float]:
    """Its statistics, NaN where there is nothing."""
    truth, found = [], []
    for i, (pred, target) in enumerate(zip(preds, targets, strict=True)):
        for j in range(len(target["keypoints" if kind == "keypoints" else "labels"])):
            crowd = int(target["iscrowd"][j]) if "iscrowd" in target else 0
            truth.append({**_row(target, j, kind), "id": len(truth) + 1, "image_id": i, "iscrowd": crowd})
        rows = (_row(pred, j, kind) for j in range(len(pred["scores"])))
        found += [{**row, "image_id": i, "score": s} for row, s in zip(rows, pred["scores"].tolist(), strict=True)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i, "height": 200, "width": 200} for i in range(len(preds))],
            "categories": [{"id": c} for c in range(classes)],
            "annotations": truth,
            "info": {},
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), kind)
        for name, value in params.items():
            setattr(judge.params, name, value)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [float(x) if x > -1 else float("nan") for x in judge.stats]
