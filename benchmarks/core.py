"""What the library costs per call: losses, metrics, steps and reports against the same work written by hand.

    python benchmarks/core.py

Tiny tensors and one thread, so that nothing but the overhead is seen. Times are of the process, the least of many turns
of all sides one after the other. ``ops`` counts what each side asks torch for; the last word says what the rest is for,
and is explained below the table.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from dltools.cfgutils import build
from dltools.handlers import StepHandlerCfg
from dltools.losses import CELossCfg, CombineCfg, DiceLossCfg, FocalLossCfg, LossCfg, TverskyLossCfg
from dltools.meters import Mean, collect
from dltools.metrics import (
    F1,
    MCC,
    Accuracy,
    BalancedAccuracy,
    CohenKappa,
    ConfusionMatrix,
    FBeta,
    IoU,
    Metrics,
    Precision,
    Recall,
    Specificity,
)

Call = Callable[[], Any]
C = 100
"""Classes of the metrics."""
TERMS: dict[str, LossCfg[Any]] = {
    "ce": CELossCfg(),
    "dice": DiceLossCfg(),
    "tversky": TverskyLossCfg(alpha=0.3, beta=0.7),
    "focal": FocalLossCfg(),
}
WHY = {
    "meters": "numbers for collect(): states that merge over ranks are made with the object, and a row waits per call",
    "exclusion": "ignore_index, masks, labels out of range, absent classes: sums of what counts, and of how much",
    "range": "labels out of range, NaN and masked samples have cells of their own; the floor counts them wrongly",
    "inputs": "which input is which, its shape and dtype; checked before any member of a collection counts",
    "gate": "the gradient norm, and a flag on the device that holds back a non-finite update; nothing is read",
    "report": "a copy that later updates do not change, and per name: value, n, direction, what was invalid, intervals",
}


class Ops(TorchDispatchMode):
    """The number of operators that ran."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def ops(call: Call) -> int:
    with Ops() as found:
        call()
    return found.count


def row(name: str, ours: Call, floor: Call, why: str, number: int = 4) -> None:
    for call in (ours, floor):
        for _ in range(3):
            call()
    turns = [[timeit.timeit(call, time.process_time, number=number) for call in (ours, floor)] for _ in range(250)]
    us, least = (min(times) / number * 1e6 for times in zip(*turns, strict=True))
    counts = f"{ops(ours):5} {ops(floor):5}"
    print(f"{name:52} {us:8.1f} {least:8.1f} {us / least:7.1f}x {us - least:+8.1f} {counts}   {why}")


def cross_entropy(pred: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(pred, target)


def dice(pred: Tensor, target: Tensor) -> Tensor:
    return _index(pred.softmax(1), _one_hot(pred, target), 0.5, 0.5)


def focal(pred: Tensor, target: Tensor) -> Tensor:
    log_p = pred.log_softmax(1).gather(1, target.unsqueeze(1))
    return (-((1 - log_p.exp()) ** 2) * log_p).mean()


def four(pred: Tensor, target: Tensor) -> Tensor:
    log_probs = pred.log_softmax(1)
    p, y, log_p = log_probs.exp(), _one_hot(pred, target), log_probs.gather(1, target.unsqueeze(1))
    overlap = _index(p, y, 0.5, 0.5) + _index(p, y, 0.3, 0.7)
    return -log_p.mean() + overlap + (-((1 - log_p.exp()) ** 2) * log_p).mean()


def _one_hot(pred: Tensor, target: Tensor) -> Tensor:
    return F.one_hot(target, pred.shape[1]).movedim(-1, 1).to(pred.dtype)


def _index(p: Tensor, y: Tensor, alpha: float, beta: float) -> Tensor:
    """The Tversky index, as a loss."""
    inter, pred, target = (x.sum((0, 2, 3)) for x in (p * y, p, y))
    return 1 - (inter / (inter + alpha * (pred - inter) + beta * (target - inter))).mean()


def losses() -> None:
    by_hand = {
        "CELoss": (CELossCfg(), cross_entropy, lambda: nn.CrossEntropyLoss()),
        "DiceLoss": (DiceLossCfg(), dice, nn.Module),
        "FocalLoss": (FocalLossCfg(), focal, nn.Module),
        "Combine of four": (CombineCfg(terms=TERMS), four, lambda: nn.ModuleDict({k: nn.Module() for k in TERMS})),
    }
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    attached = logits.clone().requires_grad_()
    for name, (cfg, hand, module) in by_hand.items():
        loss: Any = build(cfg)
        row(f"{name}: build / an empty module", lambda c=cfg: build(c), module, "meters")  # type: ignore[misc]
        row(f"{name}: forward", lambda f=loss: f(logits, target), lambda f=hand: f(logits, target), "exclusion")

        def both(f: Any) -> Call:
            return lambda: torch.autograd.grad(f(attached, target), attached)

        row(f"{name}: forward and backward", both(loss), both(hand), "exclusion")


def metrics() -> None:
    logits, target = torch.randn(128, C), torch.randint(0, C, (128,))
    cells, ones = torch.zeros(C * C, dtype=torch.int64), torch.ones(128, dtype=torch.int64)

    def count() -> None:
        cells.index_add_(0, target * C + logits.argmax(1), ones)

    width, framed = C + 2, torch.zeros((C + 3) * (C + 2), dtype=torch.int64)

    def count_in_range() -> None:
        valid, best = torch.ones(len(target), dtype=torch.bool), logits.max(1)
        guess = best.indices.to(torch.int16).masked_fill_(best.values.isnan(), C)
        truth = target.clamp(-1, C).to(torch.int16).masked_fill_(~valid, C + 1)
        key = torch.add(guess, truth, alpha=width).add_(width + 1).int()
        framed.index_add_(0, key, torch.ones(1, dtype=torch.int64).expand(key.shape))

    accuracy, many = Accuracy(num_classes=C), Metrics({**six(), "matrix": ConfusionMatrix(num_classes=C)})
    row("Accuracy: update / argmax, index_add_", lambda: accuracy.update(logits, target), count, "range")
    row("Accuracy: update / with the range by hand", lambda: accuracy.update(logits, target), count_in_range, "inputs")
    row("6 metrics, matrix: update / argmax, index_add_", lambda: many.update(logits, target), count, "range")


def six() -> dict[str, Any]:
    kinds = (Accuracy, F1, IoU, Precision, Recall, Specificity)
    return {kind.__name__: kind(num_classes=C) for kind in kinds}


def steps() -> None:
    x, y = torch.randn(8, 16), torch.randn(8, 1)

    def ready() -> tuple[nn.Module, torch.optim.Optimizer]:
        net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
        return net, torch.optim.AdamW(net.parameters(), fused=True)

    (ours, optimizer), (theirs, plain), (guarded, gated) = ready(), ready(), ready()
    step = build(StepHandlerCfg(), ours, optimizer)

    def hand() -> None:
        F.mse_loss(theirs(x), y).backward()
        plain.step()
        plain.zero_grad()

    def hand_gated() -> None:
        F.mse_loss(guarded(x), y).backward()
        norm = nn.utils.get_total_norm([p.grad for p in guarded.parameters() if p.grad is not None])
        gated.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
        gated.step()
        gated.zero_grad()

    row("forward, step(loss) / a loop by hand", lambda: step(F.mse_loss(ours(x), y)), hand, "gate")
    row("forward, step(loss) / with norm and gate by hand", lambda: step(F.mse_loss(ours(x), y)), hand_gated, "meters")


def reports() -> None:
    logits, target = torch.randn(128, C), torch.randint(0, C, (128,))
    means, sums = {f"m{i}": Mean() for i in range(10)}, [torch.randn(3).double() for _ in range(10)]
    for mean, one in zip(means.values(), sums, strict=True):
        mean.update(one)
    more: tuple[Any, ...] = (BalancedAccuracy, MCC, CohenKappa, FBeta)
    many = Metrics(six() | {kind.__name__: kind(num_classes=C) for kind in more})
    many.update(logits, target)
    names, counting = tuple(map(str, range(C))), ConfusionMatrix(num_classes=C)
    counting.update(logits, target)
    matrix = torch.from_numpy(counting.compute().data("confusion_matrix")["matrix"])
    row("collect: 10 means / stack, tolist", lambda: collect(means), lambda: torch.stack(sums).tolist(), "report")
    row(
        "collect: 10 metrics / ten scores in numpy",
        lambda: collect(many),
        lambda: ten_scores(matrix, names),
        "report",
        1,
    )


def ten_scores(matrix: Tensor, names: tuple[str, ...]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """From a confusion matrix: the averages, and the scores of the classes by name."""
    cells = matrix.numpy().astype(np.float64)
    tp, pred, target, n = cells.diagonal(), cells.sum(0), cells.sum(1), cells.sum()

    def each(part: Any, whole: Any) -> Any:
        found = part / np.where(whole == 0, np.nan, whole)
        return np.where(pred + target > 0, np.where(np.isnan(found), 0, found), np.nan)

    scores = {
        "precision": each(tp, pred),
        "recall": each(tp, target),
        "specificity": each(n - pred - target + tp, n - target),
        "f1": each(2 * tp, pred + target),
        "f2": each(5 * tp, 4 * target + pred),
        "iou": each(tp, pred + target - tp),
    }
    values = {name: float(np.nanmean(score)) for name, score in scores.items()}
    hits, chance = tp.sum() / n, (pred * target).sum() / n**2
    spread = (1 - (pred**2).sum() / n**2) * (1 - (target**2).sum() / n**2)
    values |= {"accuracy": hits, "balanced": values["recall"], "kappa": (hits - chance) / (1 - chance)}
    values["mcc"] = (hits - chance) / spread**0.5
    return values, {name: dict(zip(names, score.tolist(), strict=True)) for name, score in scores.items()}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'':52} {'dltools':>8} {'by hand':>8} {'ratio':>8} {'more us':>8} {'ops':>5} {'ops':>5}   why")
    losses()
    metrics()
    steps()
    reports()
    print(*(f"{word}: {text}" for word, text in WHY.items()), sep="\n")


if __name__ == "__main__":
    main()
