"""Run a function on several gloo processes of this machine and give its results in rank order."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as c10d


def run_ranks(function: Callable[..., Any], world: int, *args: Any, seconds: float = 60.0) -> list[Any]:
    """``function(rank, *args)`` of every rank; results must pickle.

    An error of a rank is raised here with its traceback. The processes are forked off one that has imported torch, or,
    where `DLTOOLS_RANKS` says "fork", off this one: so they have the fault that `make mutants` has planted in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context(os.environ.get("DLTOOLS_RANKS", "forkserver"))
        context.set_forkserver_preload(["torch.distributed", "hypothesis", "pytest"])
        results = context.SimpleQueue()
        meet = f"file://{Path(folder) / 'meet'}"
        started = [
            context.Process(target=_one, args=(function, rank, world, meet, seconds, results, args), daemon=True)
            for rank in range(world)
        ]
        for process in started:
            process.start()
        found = {}
        for _ in started:
            rank, packed = results.get()
            found[rank] = pickle.loads(packed)  # bytes: tensors would need their process to be still there
            if found[rank][0]:  # the others may wait for this one
                break
        for process in started:
            process.join(1.0 if len(found) < world else seconds)
            process.terminate()
    errors = [text for rank, (text, _) in sorted(found.items()) if text]
    if errors:
        raise AssertionError("\n".join(errors))
    return [found[rank][1] for rank in range(world)]


def _one(function: Any, rank: int, world: int, meet: str, seconds: float, results: Any, args: Any) -> None:
    torch.set_num_threads(1)
    try:  # a rank that fails at once may keep the others from meeting; they too must answer
        limit = timedelta(seconds=seconds)
        c10d.init_process_group("gloo", init_method=meet, rank=rank, world_size=world, timeout=limit)
        results.put((rank, pickle.dumps(("", function(rank, *args)))))
    except BaseException:
        results.put((rank, pickle.dumps((f"rank {rank}: {traceback.format_exc()}", None))))
    finally:
        if c10d.is_initialized():
            c10d.destroy_process_group()
