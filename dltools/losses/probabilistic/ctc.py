"""Connectionist temporal classification: sequences of labels without their positions."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.cfgutils.annotations import NonNegativeInt
from dltools.errors import DltoolsError, ShapeError
from dltools.functional.targets import describe
from dltools.losses.base import LossCfg
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss, read_weights, spread


class CTCLossCfg(LossCfg["CTCLoss"]):
    blank: NonNegativeInt = 0
    """The class of no label; in a target it is padding."""
    ignore_index: int | None = None
    """Another label that is padding; a sample of nothing else does not count."""


class CTCLoss(MeanLoss[CTCLossCfg]):
    r"""CTC loss, :math:`-\log p(y \mid x)` over all alignments, divided by the target's length; mean over samples.

    Equals ``torch.nn.functional.ctc_loss`` of ``pred.log_softmax(1)``, whose kernels it uses: there is no double
    backward, and on a GPU they read the lengths. These follow from what counts: frames that ``mask`` excludes and
    padding are left out, wherever they stand. ``reduction="sum"`` and ``"none"`` do not divide by lengths.

    Shapes: pred (N, C, T), logits or log-probabilities; target (N, S), integers; mask (N, T), or (N,); weight_map
    (N,). A sample with another label outside of [0, C), or with more labels than its frames can hold, is left out and
    counted in ``bad_targets``; with ``check`` it is a DltoolsError. Raises ShapeError.

    >>> loss = CTCLoss()
    >>> loss(torch.zeros(1, 3, 2), torch.tensor([[1, 0]]))
    tensor(1.0986)

    Source: Graves et al. 2006, Connectionist temporal classification.
    """

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pred, target, mask, weight_map = view.tensors()
        self._refuse(pred, target)
        shape, dtype = (len(pred), pred.shape[2]), torch.promote_types(pred.dtype, torch.float32)
        frames = spread(torch.ones(1, 1, device=pred.device) if mask is None else mask, shape, -1, "mask") != 0
        labels = self._labels(target, pred.shape[1])
        seen = frames.any(1) & labels.given
        fits = labels.legal & (labels.num_frames <= frames.sum(1))
        read = partial(read_weights, pred, shape[:1], seen, weight_map, dtype=dtype, legal=fits)
        found = view.once(("ctc", self.cfg.blank, self.cfg.ignore_index), read)
        if self.cfg.check and int(found.bad):
            given = f"{int(found.bad)} targets have unknown labels or too many"
            raise DltoolsError(given, expected="labels of classes, no more than frames hold", hint="ignore_index")
        valid = seen & fits if found.valid is None else found.valid
        frames = frames & valid.unsqueeze(1)
        log_probs = torch.where(frames.unsqueeze(1), pred, 0).log_softmax(1, dtype=dtype)
        if mask is not None:
            log_probs = log_probs.gather(2, _first(frames).unsqueeze(1).expand_as(log_probs))
        length = torch.where(valid, labels.length, 0)
        loss = _of_samples(log_probs.permute(2, 0, 1), labels.y, frames.sum(1), length, self.cfg.blank)
        return found.weigh(loss / length.clamp_min(1) if self.cfg.reduction == "mean" else loss)

    def _refuse(self, pred: Tensor, target: Tensor) -> None:
        shapes = pred.ndim == 3 and target.ndim == 2 and len(pred) == len(target) and pred.shape[1] > self.cfg.blank
        if not shapes or not pred.is_floating_point() or target.is_floating_point():
            expected = f"pred (N, C, T) of floats, C above blank, which is {self.cfg.blank}; target (N, S) of integers"
            raise ShapeError(describe(pred, target), expected=expected)

    def _labels(self, target: Tensor, num_classes: int) -> _Labels:
        target, blank = target.long(), self.cfg.blank
        counts = given = target != blank
        if self.cfg.ignore_index is not None:
            given = target != self.cfg.ignore_index
            counts = counts & given
        legal = ((target >= 0) & (target < num_classes) | ~counts).all(1)
        y = torch.where(counts, target, blank).gather(1, _first(counts)).clamp(0, num_classes - 1)
        twice = (y[:, 1:] == y[:, :-1]) & (y[:, 1:] != blank)
        given = given.any(1) if self.cfg.ignore_index is not None else torch.ones_like(legal)
        return _Labels(y, counts.sum(1), counts.sum(1) + twice.sum(1), legal, given)


class _Labels(NamedTuple):
    y: Tensor
    """Labels, and blanks after them."""
    length: Tensor
    num_frames: Tensor
    """The least that hold them: two equal labels need a blank between them."""
    legal: Tensor
    given: Tensor
    """Whether a sample has more than labels to ignore; a text may be empty."""


def _first(counts: Tensor) -> Tensor:
    """An order of each row in which what counts stands first."""
    return counts.logical_not().int().argsort(dim=1, stable=True)


def _of_samples(log_probs: Tensor, target: Tensor, frames: Tensor, length: Tensor, blank: int) -> Tensor:
    if not log_probs.numel():
        return log_probs.sum((0, 2))
    if torch.compiler.is_compiling():
        loss: Tensor = _ctc(log_probs, target, frames, length, blank)[0]
        return loss
    return F.ctc_loss(log_probs, target, frames, length, blank, reduction="none", zero_infinity=True)


@torch.library.custom_op("dltools::ctc", mutates_args=())
def _ctc(log_probs: Tensor, target: Tensor, frames: Tensor, length: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """Loss of each sample (N,) and its slope (T, N, C); torch's own operator stops a compiler."""
    aten = torch.ops.aten
    loss, alpha = aten._ctc_loss.Tensor(log_probs, target, frames, length, blank, True)
    one = torch.ones_like(loss)
    return loss, aten._ctc_loss_backward.Tensor(one, log_probs, target, frames, length, loss, alpha, blank, True)


_ctc.register_fake(lambda log_probs, *_: (log_probs.new_empty(log_probs.shape[1]), torch.empty_like(log_probs)))


def _keep(ctx: Any, inputs: object, output: tuple[Tensor, Tensor]) -> None:
    del inputs
    ctx.save_for_backward(output[1])


def _back(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor, None, None, None, None]:
    return ctx.saved_tensors[0] * slope.view(1, -1, 1), None, None, None, None


_ctc.register_autograd(_back, setup_context=_keep)
