"""Distribution focal loss: a distance as a distribution over bins, with its weight on the two around the truth."""

from __future__ import annotations

import torch
from torch import Tensor

from dltools.errors import DltoolsError, ShapeError
from dltools.functional.sums import pick
from dltools.functional.targets import describe
from dltools.functional.widen import widen
from dltools.losses.base import LossCfg
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss, Pair, read_weights


class DFLossCfg(LossCfg["DFLoss"]):
    """No options of its own."""


class DFLoss(MeanLoss[DFLossCfg]):
    r"""Distribution focal loss, :math:`-(i + 1 - y) \log p_i - (y - i) \log p_{i+1}` with bins :math:`i \le y \le i+1`.

    Mean over distances. Shapes: pred (N, K, *S), logits of bins that stand for the distances 0 to K - 1; target (N, *S)
    of numbers in that range, else they are left out and counted. The distances of the four sides of a box are (N, K, 4)
    with target (N, 4). Mask and weight_map: as target, or (N,). Raises ShapeError.

    >>> import torch
    >>> logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    >>> DFLoss()(logits, torch.tensor([1.25]))
    tensor(0.8209)

    Source: Li et al. 2020, arXiv:2006.04388.
    """

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pair = view.once("bins", lambda: _read(*view.tensors()))
        if self.cfg.check and int(pair.bad):
            expected = f"0 to {pair.pred.shape[1] - 1}, the first and the last bin"
            raise DltoolsError(f"{int(pair.bad)} targets are out of range", expected, "clamp them, or more bins")
        log_p, left = pair.pred.log_softmax(1), pair.target.floor().clamp_max(pair.pred.shape[1] - 2)
        at = left.long()
        return pair.weigh(torch.lerp(-pick(log_p, at), -pick(log_p, at + 1), pair.target - left))


def _read(pred: Tensor, target: Tensor, mask: Tensor | None, weight_map: Tensor | None) -> Pair[Tensor]:
    shape = (*pred.shape[:1], *pred.shape[2:])
    if pred.ndim < 2 or pred.shape[1] < 2 or target.shape != shape or not pred.is_floating_point():
        expected = "logits of K >= 2 bins (N, K, *S), target (N, *S)"
        raise ShapeError(describe(pred, target), expected=expected, hint="the bins stand in dimension 1")
    x = widen(pred)
    legal = (target >= 0) & (target <= pred.shape[1] - 1)
    found = read_weights(pred, shape, mask, weight_map, dtype=x.dtype, mask_dim=-1, legal=legal)
    valid = legal if found.valid is None else found.valid
    return found.of(torch.where(valid.unsqueeze(1), x, 0), torch.where(valid, target, 0).to(x.dtype))
