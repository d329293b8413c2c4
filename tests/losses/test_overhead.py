"""How many operators a call asks torch for: on tiny tensors they are its whole cost, and on a GPU each is a launch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dltools.losses import CELossCfg, CombineCfg, DiceLossCfg, FocalLossCfg, LossCfg, TverskyLossCfg

FOUR = {"ce": CELossCfg(), "dice": DiceLossCfg(), "tv": TverskyLossCfg(alpha=0.3, beta=0.7), "focal": FocalLossCfg()}


class Ops(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("cfg", "forward", "backward"),
    [
        (CELossCfg(), 36, 21),
        (FocalLossCfg(), 41, 31),
        (DiceLossCfg(), 69, 43),
        (CombineCfg(terms=FOUR), 133, 101),
    ],
)
def test_operators_do_not_creep_in(cfg: LossCfg[Any], forward: int, backward: int) -> None:
    loss, pred, target = cfg.build(), torch.zeros(2, 3, 8, 8, requires_grad=True), torch.zeros(2, 8, 8).long()
    loss(pred, target)
    with Ops() as ops:
        value = loss(pred, target)
    assert ops.count <= forward
    with Ops() as ops:
        value.backward()
    assert ops.count <= backward
