"""What torch's own schedulers give, to compare with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer


def torch_values(make: Callable[[Optimizer], Any], num: int) -> list[float]:
    """The learning rates of the first ``num`` steps, for a base of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have updates in between
        scheduler, values = make(optimizer), []
        for step in range(num):
            values.append(float(optimizer.param_groups[0]["lr"]))
            if step < num - 1:
                scheduler.step()
    return values
