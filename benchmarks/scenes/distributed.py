"""Ten metrics on two processes, merged by us and by others."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as c10d
import torch.multiprocessing as mp

from dltools import metrics as dl
from dltools.dist import flat_reduce
from dltools.metrics import Metrics

C = 98
MATRICES = {f"matrix{i}": i for i in range(6)}
"""With another ignored class each, hence nothing to share."""
TURNS = 15


class Found(NamedTuple):
    """Numbers in our states, and milliseconds of both sides, turn by turn."""

    numbers: int
    times: list[list[float]]


def measure(peer: str, part: str, folder: str) -> Found | str:
    """What rank 0 measures; or why there is nothing."""
    path = Path(folder) / f"{peer}{part}"
    mp.spawn(_on_a_rank, (peer, part, str(path)), nprocs=2)
    found: Found | str = torch.load(path.with_suffix(".pt"), weights_only=False)
    return found


def _on_a_rank(rank: int, peer: str, part: str, path: str) -> None:
    torch.set_num_threads(1)
    c10d.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    batch = torch.randn(128, C), torch.cat([torch.arange(C), torch.randint(0, C, (128 - C,))])
    batch[0][C - 1, C - 1] = 9  # torcheval fails unless the last class is there on both sides
    mine = ours()
    mine.update(*batch)
    try:
        theirs = PEERS[peer](part, batch)
    except ImportError as error:
        theirs = None
        said = str(error).splitlines()[0]
    parts = [(kind, states.stored(name)) for states in mine.counted().values() for name, kind in states.layout.items()]
    call: Callable[[], Any] = mine.compute if part == "whole" else lambda: flat_reduce(parts)
    found: Found | str = said if theirs is None else Found(sum(x.numel() for _, x in parts), _turns(call, theirs))
    if rank == 0:
        torch.save(found, Path(path).with_suffix(".pt"))
    c10d.destroy_process_group()


def _turns(*calls: Callable[[], Any]) -> list[list[float]]:
    times: list[list[float]] = []
    for _ in range(TURNS + 2):
        times.append([])
        for call in calls:
            c10d.barrier()
            start = time.perf_counter()
            call()
            times[-1].append((time.perf_counter() - start) * 1e3)
    return times[2:]


def ours() -> Metrics:
    """Six matrices, and four values that share the first."""
    fields: dict[str, Any] = {"num_classes": C, "ignore_index": 0}
    shared = (dl.IoUCfg(**fields), dl.CohenKappaCfg(**fields), dl.MCCCfg(**fields), dl.F1Cfg(**fields))
    members: dict[str, Any] = {cfg.tag: cfg for cfg in shared}
    own = {name: dl.ConfusionMatrixCfg(num_classes=C, ignore_index=i) for name, i in MATRICES.items()}
    return Metrics({**members, **own})


def torchmetrics(part: str, batch: tuple[Any, ...]) -> Callable[[], Any]:
    """The same ten, in a collection that has found its groups."""
    import torchmetrics.classification as tm
    from torchmetrics import MetricCollection

    fields: dict[str, Any] = {"num_classes": C, "ignore_index": 0}
    kinds = (tm.MulticlassJaccardIndex, tm.MulticlassCohenKappa, tm.MulticlassMatthewsCorrCoef, tm.MulticlassF1Score)
    own = {name: tm.MulticlassConfusionMatrix(num_classes=C, ignore_index=i) for name, i in MATRICES.items()}
    group = MetricCollection({**{kind.__name__: kind(**fields) for kind in kinds}, **own})
    group.update(*batch)

    def whole() -> None:
        for metric in group.values():
            metric._computed = None
        group.compute()

    def sync() -> None:
        for metric in group.values():
            metric.sync()
            metric.unsync()

    return whole if part == "whole" else sync


def torcheval(part: str, batch: tuple[Any, ...]) -> Callable[[], Any]:
    """Those of the ten that it has, others in place of the rest."""
    import torcheval.metrics as te
    from torcheval.metrics.toolkit import get_synced_metric_collection, sync_and_compute_collection

    kinds = (te.MulticlassPrecision, te.MulticlassRecall, te.MulticlassAccuracy, te.MulticlassF1Score)
    metrics: dict[str, Any] = {kind.__name__: kind(num_classes=C, average="macro") for kind in kinds}
    metrics |= {name: te.MulticlassConfusionMatrix(C) for name in MATRICES}
    for metric in metrics.values():
        metric.update(*batch)
    run: Any = sync_and_compute_collection if part == "whole" else get_synced_metric_collection
    return lambda: run(metrics)


PEERS = {"torchmetrics": torchmetrics, "torcheval": torcheval}
