"""Losses against torch's own and other libraries: how many times as long, and what was aimed at.

    python benchmarks/losses.py             # all cases
    python benchmarks/losses.py dice boxes  # some of them

Forward and backward in float32, one thread, time of the process, so that other work on the machine matters little. The
sides of a case take turns; each ratio is the median over the turns. The floor, 1.0, is torch's cross entropy, its
binary one or smooth L1, or the slower way that a row names. A peer that is not installed is left out. Memory is the
most that a process holds above the inputs, in inputs.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from scenes import loss_peers
from torch import Tensor

from dltools import losses as dl
from dltools.functional import distance_map, linear_cross_entropy

Call = Callable[[], Any]
Rows = Mapping[str, tuple[Call, float | None]]
"""Sides of a case, and the most that the ratio should be; a negative bar: the least."""
TERMS: dict[str, dl.LossCfg[Any]] = {
    "ce": dl.CELossCfg(),
    "dice": dl.DiceLossCfg(),
    "tversky": dl.TverskyLossCfg(alpha=0.3, beta=0.7),
    "focal": dl.FocalLossCfg(),
}


def table(case: str, floor: tuple[str, Call], rows: Rows, turns: int = 15) -> None:
    """Each side in ratios to the floor; a negative bar asks how many times faster than the floor it is."""
    calls = [floor[1], *(call for call, _ in rows.values())]
    times = [[clock(call) for call in calls] for _ in range(turns + 2)][2:]
    print(f"{case}: {floor[0]} {median(row[0] for row in times) * 1e3:.1f} ms")
    for i, (name, (_, bar)) in enumerate(rows.items(), 1):
        ratio = median(row[i] / row[0] for row in times)
        if bar is not None and bar < 0:
            met = f"bar {-bar:g}x faster {'met' if 1 / ratio >= -bar else 'NOT MET'}"
            print(f"  {name:46} {1 / ratio:8.2f}x faster   {met}", flush=True)
        else:
            met = "" if bar is None else f"bar {bar:g} {'met' if ratio <= bar else 'NOT MET'}"
            print(f"  {name:46} {ratio:8.2f}          {met}", flush=True)


def clock(call: Call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def both(loss: Any, x: Tensor, y: Any) -> Call:
    """Forward and backward."""

    def run() -> None:
        x.grad = None
        loss(x, y).backward()

    return run


def compiled(loss: Any) -> Any:
    torch._dynamo.reset()
    return torch.compile(loss, fullgraph=True)


def classes(*shape: int) -> tuple[Tensor, Tensor]:
    x = (2 * torch.randn(shape)).requires_grad_()
    return x, torch.randint(0, shape[1], (shape[0], *shape[2:]))


def dense() -> None:
    x, y = classes(4, 19, 256, 256)
    four = dl.CombineCfg(terms=TERMS)
    rows: dict[str, tuple[Call, float | None]] = {
        "Combine of four": (both(four.build(), x, y), 1.9),
        "Combine of four, compiled": (both(compiled(four.build()), x, y), 1.2),
        "Dice": (both(dl.DiceLoss(), x, y), 1.6),
        "Dice, compiled": (both(compiled(dl.DiceLoss()), x, y), 0.95),
    }
    for name, peer in loss_peers.dense(19).items():
        rows[name] = both(peer, x, y), None
    table("4x19x256x256", ("torch cross_entropy", both(F.cross_entropy, x, y)), rows)
    more = {"jaccard": dl.JaccardLossCfg(), "poly": dl.PolyLossCfg()}
    sides = {
        f"and {name}": (both(four.replace(terms={**TERMS, name: cfg}).build(), x, y), 1.05)
        for name, cfg in more.items()
    }
    table("one more term", ("Combine of four", both(four.build(), x, y)), sides)


def volume() -> None:
    x, y = classes(1, 2, 96, 96, 96)
    rows: dict[str, tuple[Call, float | None]] = {
        "Dice": (both(dl.DiceLoss(), x, y), 1.3),
        "Dice, compiled": (both(compiled(dl.DiceLoss()), x, y), 1.3),
        "Combine of four": (both(dl.CombineCfg(terms=TERMS).build(), x, y), 2.5),
        "Combine of four, compiled": (both(compiled(dl.CombineCfg(terms=TERMS).build()), x, y), 2.5),
    }
    for name, peer in loss_peers.dense(2).items():
        rows[name] = both(peer, x, y), None
    table("1x2x96x96x96", ("torch cross_entropy", both(F.cross_entropy, x, y)), rows)


def focal() -> None:
    x = torch.randn(8, 1, 512, 512, requires_grad=True)
    y = torch.randint(0, 2, x.shape)
    floor = lambda x, y: F.binary_cross_entropy_with_logits(x, y.float())  # noqa: E731
    loss = dl.FocalLoss(task="binary", alpha=0.25)
    rows: dict[str, tuple[Call, float | None]] = {
        "binary focal": (both(loss, x, y), None),
        "binary focal, compiled": (both(compiled(loss), x, y), 1.5),
    }
    table("8x1x512x512", ("torch binary cross entropy", both(floor, x, y)), rows)


def lovasz() -> None:
    x, y = classes(4, 19, 256, 256)
    ours, exact = dl.LovaszSoftmaxLoss(), dl.LovaszSoftmaxLoss(method="exact")
    slopes = [torch.autograd.grad(loss(x, y), x)[0].flatten().double() for loss in (ours, exact)]
    cosine = F.cosine_similarity(*slopes, dim=0).item()
    print(
        f"Lovász, hist to exact: loss {abs(float(ours(x, y) - exact(x, y))):.1e} apart, cosine of slopes {cosine:.6f}"
    )
    rows = {"hist": (both(ours, x, y), -8.0), "hist, compiled": (both(compiled(ours), x, y), -15.0)}
    for name, peer in loss_peers.lovasz().items():
        table("Lovász 4x19x256x256", (name, both(peer, x, y)), rows, turns=3)


def boxes() -> None:
    corner = torch.rand(100_000, 2) * 100
    target = torch.cat([corner, corner + 1 + torch.rand(100_000, 2) * 50], 1)
    x = (target + torch.randn_like(target)).requires_grad_()
    loss = dl.GIoULoss()
    rows = {"GIoU": (both(loss, x, target), 16.0), "GIoU, compiled": (both(compiled(loss), x, target), 8.5)}
    table("100k boxes", ("torch smooth_l1", both(F.smooth_l1_loss, x, target)), rows)


def distances() -> None:
    for shape, bar in (((8, 1, 256, 256), -3.5), ((2, 8, 256, 256), -4.4)):
        x = torch.randn(shape, requires_grad=True)
        y = (F.avg_pool2d(torch.randn(shape), 31, 1, 15) > 0).long()
        task: Any = "binary" if shape[1] == 1 else "multilabel"
        for name, peer in loss_peers.hausdorff().items():
            floor = name, both(peer, x, y)
            table(f"Hausdorff {shape}", floor, {"ours": (both(dl.HausdorffLoss(task=task), x, y), bar)}, turns=5)
    mask = F.avg_pool2d(torch.randn(8, 1, 256, 256), 31, 1, 15) > 0
    sides: dict[str, tuple[Call, float | None]] = {
        "cv2": (lambda: distance_map(mask, backend="cv2"), -4.0),
        "torch": (lambda: distance_map(mask, backend="torch"), -2.0),
    }
    table("exact distances 8x256x256", ("scipy", lambda: distance_map(mask, backend="scipy")), sides, turns=7)


def last_layer() -> None:
    x = torch.randn(2048, 512, requires_grad=True)
    weight = torch.randn(32_000, 512).mul_(0.02).requires_grad_()
    target = torch.randint(0, 32_000, (2048,))

    def run(loss: Callable[[], Tensor]) -> Call:
        def step() -> None:
            x.grad = weight.grad = None
            loss().backward()

        return step

    floor = run(lambda: F.cross_entropy(F.linear(x, weight), target))
    sides: dict[str, tuple[Call, float | None]] = {"ours": (run(lambda: linear_cross_entropy(x, weight, target)), 1.0)}
    table("linear and cross entropy 2048x512x32000", ("torch", floor), sides, turns=5)


def memory() -> None:
    """In processes of their own, whose largest resident size is that of one call."""
    for case, bar in (("combine", 2.5), ("cross_entropy", None), ("linear_ours", None), ("linear_torch", None)):
        done = subprocess.run([sys.executable, loss_peers.__file__, case], capture_output=True, text=True, check=True)
        held = float(done.stdout)
        wanted = "" if bar is None else f"bar {bar:g} {'met' if held <= bar else 'NOT MET'}"
        print(f"  peak memory, {case:34} {held:8.2f} inputs   {wanted}", flush=True)


CASES = {"dense": dense, "volume": volume, "focal": focal, "lovasz": lovasz, "boxes": boxes}
CASES |= {"distances": distances, "linear": last_layer, "memory": memory}

if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for chosen in sys.argv[1:] or CASES:
        CASES[chosen]()
