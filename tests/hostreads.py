"""Count what torch is asked for, above all values that are read from the device to the host; needs no device."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.bincount.default}


class count_ops(TorchDispatchMode):
    """``with count_ops() as ops: ...``, then ``ops.count``: all operators, or those of ``which``."""

    def __init__(self, which: Container[Any] | None = None) -> None:
        super().__init__()
        self.count, self.which = 0, which

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += self.which is None or func in self.which
        return func(*args, **(kwargs or {}))


def count_host_reads() -> count_ops:
    """``with count_host_reads() as reads: ...``, then ``reads.count``."""
    return count_ops(READS)
