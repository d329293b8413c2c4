"""How many operators a call asks torch for: on tiny tensors they are its whole cost, and on a GPU each is a launch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dltools.losses import CELossCfg, CombineCfg, DiceLossCfg, FocalLossCfg, LossCfg, TverskyLossCfg
from tests.hostreads import count_ops

FOUR = {"ce": CELossCfg(), "dice": DiceLossCfg(), "tv": TverskyLossCfg(alpha=0.3, beta=0.7), "focal": FocalLossCfg()}


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
    with count_ops() as ops:
        value = loss(pred, target)
    assert ops.count <= forward
    with count_ops() as ops:
        value.backward()
    assert ops.count <= backward
