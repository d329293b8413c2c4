"""Metrics against the libraries that people use for the same numbers: how many times quicker, and what was aimed at.

    python benchmarks/metrics.py            # all cases
    python benchmarks/metrics.py coco mean  # some of them

Two threads. Both sides take turns, and each ratio is the median over the turns. A peer that is not there is named.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
import torch
from scenes import distributed
from scenes.detection import as_tensors, draw, faster_coco_eval, torchmetrics_map
from scenes.surfaces import blob, monai_surfaces, surfels

from dltools import metrics as dl
from dltools.meters import Mean, collect
from dltools.metrics import Metrics

Call = Callable[[], Any]
Peer = tuple[Callable[[], Call], float | None]
"""Prepares a peer, and how many times as long as ours it should take."""
C = 100


def row(name: str, ours: Call, peers: Mapping[str, Peer], turns: int = 7) -> None:
    """One line per peer."""
    for peer, (prepare, bar) in peers.items():
        try:
            theirs = prepare()
        except (ImportError, ModuleNotFoundError) as error:
            print(f"{name:48} {peer:24} {str(error).splitlines()[0]:.60}")
            continue
        report(name, peer, paired((ours, theirs), turns), bar)


def paired(calls: tuple[Call, Call], turns: int) -> list[list[float]]:
    """Milliseconds of both sides, turn by turn, after one turn that does not count."""

    def clock(call: Call) -> float:
        start = time.perf_counter()
        call()
        return (time.perf_counter() - start) * 1e3

    return [[clock(call) for call in calls] for _ in range(turns + 1)][1:]


def report(name: str, peer: str, times: list[list[float]], bar: float | None) -> None:
    ours, theirs = (median(side) for side in zip(*times, strict=True))
    ratio = median(other / own for own, other in times)
    wanted = "" if bar is None else f"bar {bar:3.0f}x {'met' if ratio >= bar else 'NOT MET'}"
    print(f"{name:48} {peer:24} {ours:9.2f} ms {theirs:9.2f} ms {ratio:8.1f}x   {wanted}", flush=True)


def over_ranks() -> None:
    """Two processes on one machine, one thread each; of the two ranks the first says how long it took."""
    bars = {"torchmetrics sync": 25, "torcheval sync": 10, "torchmetrics whole": 10, "torcheval whole": None}
    with tempfile.TemporaryDirectory() as folder:
        for peer, bar in bars.items():
            found = distributed.measure(*peer.split(), folder)
            if isinstance(found, str):
                print(f"{'10 metrics over 2 ranks':48} {peer:24} {found}")
            else:
                report(f"10 metrics, {found.numbers} numbers, 2 ranks", peer, found.times, bar)


def updates() -> None:
    batches = [(torch.randn(128, C), torch.randint(0, C, (128,))) for _ in range(300)]
    kinds = (dl.Accuracy, dl.F1, dl.IoU, dl.Precision, dl.Recall, dl.Specificity, dl.ConfusionMatrix)
    many = Metrics({kind.__name__: kind(num_classes=C) for kind in kinds})

    def theirs(forward: bool) -> Call:
        import torchmetrics.classification as tm
        from torchmetrics import MetricCollection

        names = ("F1Score", "JaccardIndex", "Precision", "Recall", "Specificity", "ConfusionMatrix")
        same = {name: getattr(tm, f"Multiclass{name}")(num_classes=C) for name in names}
        group = MetricCollection({"Accuracy": tm.MulticlassAccuracy(num_classes=C, average="micro"), **same})
        group.update(*batches[0])
        return (lambda: [group(*batch) for batch in batches[:30]]) if forward else each(group.update)

    def each(update: Callable[..., Any]) -> Call:
        return lambda: [update(*batch) for batch in batches]

    row("6 metrics, matrix: update, 300 x (128, 100)", each(many.update), {"torchmetrics": (lambda: theirs(False), 5)})
    ours: Call = lambda: [collect({"train": many.step(*batch)}) for batch in batches[:30]]  # noqa: E731
    row("6 metrics, matrix: step and collect, 30 times", ours, {"torchmetrics forward": (lambda: theirs(True), 20)})


def segmentation() -> None:
    batches = [(torch.randint(0, 19, (4, 512, 512)), torch.randint(0, 19, (4, 512, 512))) for _ in range(4)]

    def ours() -> Any:
        metric = dl.IoU(num_classes=19, holds="labels")
        for pred, target in batches:
            metric.update(pred, target)
        return metric.compute()

    def theirs() -> Call:
        from torchmetrics.classification import MulticlassJaccardIndex

        def run() -> Any:
            metric = MulticlassJaccardIndex(num_classes=19)
            for pred, target in batches:
                metric.update(pred, target)
            return metric.compute().item()

        return run

    def monai() -> Call:
        from monai.metrics import MeanIoU

        def run() -> Any:
            metric = MeanIoU()
            for pair in batches:
                metric(*(torch.nn.functional.one_hot(x, 19).movedim(-1, 1) for x in pair))
            return metric.aggregate().item()

        return run

    row("mIoU of 19 classes, 4 x (4, 512, 512)", ours, {"torchmetrics Jaccard": (theirs, 8), "MONAI": (monai, 80)}, 5)


def ranking() -> None:
    gen = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 2, (1000, 1000), generator=gen)
    scores = torch.randn(1000, 1000, generator=gen) + targets
    metric = dl.AUROC(task="binary")
    kept = sum(metric.states.stored(name).nbytes for name in metric.states)

    def ours() -> Any:
        metric.reset()
        for score, target in zip(scores, targets, strict=True):
            metric.update(score, target)
        return metric.compute()

    def theirs() -> Call:
        from torchmetrics.classification import BinaryAUROC

        def run() -> Any:
            exact = BinaryAUROC()
            for score, target in zip(scores, targets, strict=True):
                exact.update(score, target)
            return exact.compute().item()

        return run

    row(f"AUROC, 1000 updates of 1000, in {kept / 2**20:.2f} MiB", ours, {"torchmetrics exact": (theirs, 15)}, 3)


def coco() -> None:
    images = draw()
    preds, targets = zip(*map(as_tensors, images), strict=True)

    def ours() -> Any:
        metric = dl.MAP(num_classes=80)
        for i in range(0, len(images), 16):
            metric.update(preds[i : i + 16], targets[i : i + 16])
        return metric.compute()

    off = abs(ours()["mean_average_precision"] - 0.414256920781)
    print(f"{'COCO mAP of 2000 images':48} {'pycocotools':24} differs by {off:.1e}")
    peers: dict[str, Peer] = {
        "faster-coco-eval": (lambda: faster_coco_eval(images), 10),
        "torchmetrics": (lambda: torchmetrics_map(preds, targets), 50),
    }
    row("COCO mAP of 2000 images", ours, peers, 3)


def surfaces() -> None:
    for shape in ((512, 512), (128, 128, 128)):
        pred, target = blob(shape, 0), blob(shape, 1)
        size = " x ".join(map(str, shape))

        def ours(convention: Any, a: Any = pred[None].long(), b: Any = target[None].long()) -> Call:
            def run() -> Any:
                metric = dl.SurfaceDistance(num_classes=2, holds="labels", convention=convention)
                metric.update(a, b)
                return metric.compute()

            return run

        row(f"HD95, NSD of surfels, {size}", ours("surfel"), {"surface-distance": (surfels(pred, target), 4)}, 5)
        row(f"HD95, NSD of pixels, {size}", ours("pixel"), {"MONAI": (monai_surfaces(pred, target), 4)}, 5)


def means() -> None:
    losses = list(torch.randn(2000))
    mean = Mean()

    def theirs() -> Call:
        from torchmetrics import MeanMetric

        metric = MeanMetric()
        return lambda: [metric.update(x) for x in losses] and metric.compute().item()

    ours: Call = lambda: [mean.update(x) for x in losses] and mean.value  # noqa: E731
    row("Mean of 2000 updates", ours, {"torchmetrics": (theirs, 5)})


def retrieval() -> None:
    gen = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 100, (4000,), generator=gen)
    x = torch.randn(100, 128, generator=gen)[labels] + 2 * torch.randn(4000, 128, generator=gen)

    def ours() -> Any:
        metrics = Metrics({"recall": dl.RecallAtK(dim=128), "map": dl.MAPAtR(dim=128)})
        metrics.update(x, labels)
        return metrics.compute()

    def theirs() -> Call:
        from pytorch_metric_learning.distances import CosineSimilarity
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
        from pytorch_metric_learning.utils.inference import CustomKNN

        include = ("precision_at_1", "mean_average_precision_at_r")
        peer = AccuracyCalculator(include, k="max_bin_count", knn_func=CustomKNN(CosineSimilarity()))
        return lambda: peer.get_accuracy(x, labels)

    row("R@1, mAP@R of 4000 x 128", ours, {"pytorch-metric-learning": (theirs, 10)}, 5)


def texts() -> None:
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghij "))
    truth = ["".join(rng.choice(letters, 60)) + "x" for _ in range(2000)]
    guess = ["".join("e" if change else c for c, change in zip(t, rng.random(61) < 0.1, strict=True)) for t in truth]

    def ours() -> Any:
        metric = dl.CER()
        metric.update(guess, truth)
        return metric.compute()

    def theirs() -> Call:
        import jiwer

        return lambda: jiwer.cer(truth, guess)

    row("CER of 2000 lines", ours, {"jiwer": (theirs, 5)})


CASES = {
    "ranks": over_ranks,
    "updates": updates,
    "segmentation": segmentation,
    "ranking": ranking,
    "coco": coco,
    "surfaces": surfaces,
    "mean": means,
    "retrieval": retrieval,
    "texts": texts,
}


def main() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    print(f"{'':48} {'peer':24} {'dltools':>12} {'peer':>12} {'ratio':>9}")
    for name in sys.argv[1:] or CASES:
        CASES[name]()


if __name__ == "__main__":
    main()
