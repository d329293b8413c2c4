"""What type checkers must infer and refuse; each line marked ``# refused`` is a mistake. Never run."""

from __future__ import annotations

from typing import Any, assert_type

import torch

from dltools.cfgutils import build
from dltools.losses import DiceLoss, DiceLossCfg, LossCfg
from dltools.optim import AdamWCfg


def planted() -> None:
    model = torch.nn.Linear(2, 2)
    assert_type(build(DiceLossCfg()), DiceLoss)
    assert_type(build(AdamWCfg(lr=1e-3), model), torch.optim.AdamW)
    family: LossCfg[Any] = DiceLossCfg()
    DiceLossCfg(smoth=1.0)  # refused: an unknown field
    DiceLossCfg(empty=3)  # refused: a wrong type
    DiceLossCfg().empty = "zero"  # refused: assignment to a config
    build(AdamWCfg())  # refused: an optimizer without parameters
    build(AdamWCfg(), 3)  # refused: an optimizer with wrong parameters
    wrong: int = build(DiceLossCfg())  # refused: wrong use of the built type
    other: LossCfg[Any] = AdamWCfg()  # refused: a config of another family
