"""The losses of other libraries in one form; and as a script the peak memory of a case, in sizes of its input."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def dense(classes: int) -> dict[str, Loss]:
    """Dice, and combinations of cross entropy, Dice, Tversky and focal loss."""
    found: dict[str, Loss] = {}
    with suppress(ImportError):
        from monai.losses import DiceLoss, FocalLoss, TverskyLoss

        options: dict[str, Any] = {"softmax": True, "to_onehot_y": True}
        dice, tversky = DiceLoss(**options), TverskyLoss(alpha=0.3, beta=0.7, **options)
        focal = FocalLoss(to_onehot_y=True, use_softmax=True)
        found["MONAI Dice"] = lambda x, y: dice(x, y.unsqueeze(1))

        def four(x: Tensor, y: Tensor) -> Tensor:
            one = y.unsqueeze(1)
            return F.cross_entropy(x, y) + dice(x, one) + tversky(x, one) + focal(x, one)

        found["MONAI, the four"] = four
    with suppress(ImportError):
        from kornia.losses import dice_loss

        if classes > 2:
            found["kornia Dice"] = dice_loss
    with suppress(ImportError):
        from segmentation_models_pytorch import losses as smp

        parts = [
            smp.DiceLoss("multiclass"),
            smp.TverskyLoss("multiclass", alpha=0.3, beta=0.7),
            smp.FocalLoss("multiclass"),
        ]
        found["smp, the four"] = lambda x, y: F.cross_entropy(x, y) + sum(part(x, y) for part in parts)
    return found


def lovasz() -> dict[str, Loss]:
    """Sorted ones."""
    found: dict[str, Loss] = {}
    with suppress(ImportError):
        from kornia.losses import lovasz_softmax_loss

        found["kornia"] = lovasz_softmax_loss
    return found


def hausdorff() -> dict[str, Loss]:
    """By distance maps."""
    found: dict[str, Loss] = {}
    with suppress(ImportError):
        from monai.losses import HausdorffDTLoss

        loss = HausdorffDTLoss(sigmoid=True, include_background=True)
        found["MONAI"] = loss
    return found


def _case(name: str) -> tuple[Callable[[], Tensor], int]:
    from dltools import losses as dl
    from dltools.functional import linear_cross_entropy

    if name.startswith("linear"):
        x, weight = torch.randn(2048, 512, requires_grad=True), torch.randn(32_000, 512, requires_grad=True)
        target = torch.randint(0, 32_000, (2048,))
        if name == "linear_ours":
            return lambda: linear_cross_entropy(x, weight, target), weight.nbytes
        return lambda: F.cross_entropy(F.linear(x, weight), target), weight.nbytes
    x, y = torch.randn(4, 19, 256, 256, requires_grad=True), torch.randint(0, 19, (4, 256, 256))
    if name == "cross_entropy":
        return lambda: F.cross_entropy(x, y), x.nbytes
    terms = {"ce": dl.CELossCfg(), "dice": dl.DiceLossCfg(), "tversky": dl.TverskyLossCfg(), "focal": dl.FocalLossCfg()}
    loss = dl.CombineCfg(terms=terms).build()
    return lambda: loss(x, y), x.nbytes


def _resident(kind: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM the most so far."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition(f"{kind}:")[2].split()[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    step, size = _case(sys.argv[1])
    F.cross_entropy(torch.randn(8, 8, requires_grad=True), torch.zeros(8, dtype=torch.int64)).backward()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the most so far is what there is now
    before = _resident("VmRSS")
    step().backward()
    print((_resident("VmHWM") - before) / size)
