"""A process in which OpenCV, torch and gloo have threads, as after training, makes loader workers.

Run as a program it prints what it found as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed as c10d
from numpy.typing import NDArray

from dltools.data import Loader, SequentialSamplerCfg
from dltools.errors import ConfigError

IMAGE = np.random.default_rng(0).random((700, 700, 3), dtype=np.float32)
TURN = np.array([[0.9, 0.1, 0.5], [-0.1, 0.9, 0.2]])


def compute(i: int) -> NDArray[np.float32]:
    """What OpenCV and torch do with all the threads they have."""
    blurred = cv2.GaussianBlur(cv2.warpAffine(IMAGE, TURN, (700, 700)), (0, 0), 1.0)
    x = torch.from_numpy(blurred[:, :, 0]).requires_grad_()
    y = torch.nn.functional.conv2d((x @ x).tanh()[None, None], torch.ones(1, 1, 3, 3)).square().mean() * i
    y.backward()
    return np.array(
        [y.item(), torch.get_num_threads(), cv2.getNumThreads(), multiprocessing.parent_process() is not None]
    )


def batches(workers: int) -> list[list[float]]:
    loader = Loader([1, 2, 3, 4], compute, batch_size=1, sampler=SequentialSamplerCfg(), workers=workers)
    found = [batch[0].tolist() for batch in loader]
    loader.close()
    return found


def main() -> dict[str, Any]:
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    with tempfile.TemporaryDirectory() as folder:
        c10d.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=0, world_size=1)
        c10d.all_reduce(torch.ones(3))
        others = [threading.Thread(target=compute, args=(1,)) for _ in range(2)]
        for thread in others:
            thread.start()
        here = batches(0)
        forked = batches(2)
        for thread in others:
            thread.join()
        num_threads = len(list(Path("/proc/self/task").iterdir()))
        c10d.destroy_process_group()
    out = {"here": here, "forked": forked, "after": batches(0), "num_threads": num_threads}
    multiprocessing.set_start_method("spawn", force=True)
    out["spawned"] = batches(1)
    try:
        list(Loader([1], lambda x: x, workers=1))
    except ConfigError as error:
        out["unpicklable"] = str(error)
    return out


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()))
