"""One pass over a prediction, from which dense losses read all they need."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dltools.functional.counts import Over, OverlapCounts, counts_of, hard_counts
from dltools.functional.probs import Parts, classes_pass, elements_pass, log_of, side, tiny_of
from dltools.functional.softmax_pass import sigmoid_pass, softmax_pass, sum_of_squares
from dltools.functional.sums import add_up, apart, one_of, per_class, pick
from dltools.functional.targets import Holds, Labels, Task, arrange, read_labels

__all__ = ["OnePass", "OverlapCounts", "hard_counts", "one_pass"]


@dataclass(frozen=True)
class OnePass:
    """What losses read off a prediction and its target; 0 where an element is excluded."""

    pred: Tensor
    """The prediction, (N, C, *S)."""
    labels: Labels
    holds: Holds
    log_p: Tensor
    """Log-probability of the target, (N, *S); (N, C, *S) for multilabel, binary and soft ones (soft: of a positive)."""
    log_q: Tensor | None
    """Log-probability of a negative, where elements are soft and have two sides."""
    prob: Tensor
    """Probabilities, (N, C, *S)."""
    over: Over
    _counts: dict[Over, OverlapCounts] = field(default_factory=dict, repr=False)

    @property
    def dtype(self) -> torch.dtype:
        """Float32 or better."""
        return self.log_p.dtype

    @property
    def num_samples(self) -> int:
        """Size of the batch."""
        return len(self.pred)

    @property
    def num_valid(self) -> Tensor:
        """Number of elements that count."""
        return self.labels.num_valid

    @property
    def bad(self) -> Tensor:
        """Number of labels out of range."""
        return self.labels.bad

    @property
    def prob_t(self) -> Tensor:
        """Probability of the target, (N, *S), for class indices; 1 or 0 where excluded."""
        return pick(self.prob, self.labels.y) if self.holds == "probs" else self.log_p.exp()

    @property
    def counts(self) -> OverlapCounts:
        """Overlap per class, made when asked."""
        return self.overlap(self.over)

    def overlap(self, over: Over) -> OverlapCounts:
        """The counts of each sample, or of the batch; made once."""
        if over not in self._counts:
            self._counts[over] = self._per_sample() if over == "sample" else self.overlap("sample").over(over)
        return self._counts[over]

    def _per_sample(self) -> OverlapCounts:
        labels, prob, weight = self.labels, self.prob, self.labels.weight
        if labels.weights is None:
            weighted, squares = prob, sum_of_squares(prob)
        else:
            weighted = prob * (weight.unsqueeze(1) if labels.of_pixels else weight)
            squares = add_up(weighted * prob)
        if labels.of_classes and torch.compiler.is_compiling():  # one loop with the other sums
            inter = add_up(torch.where(one_of(labels.y, prob.shape[1]), weighted, 0))
        elif labels.of_classes:
            inter = per_class(self.prob_t * weight, labels.y, prob.shape[1])
        else:
            inter = add_up(weighted * labels.y)
        return counts_of(labels, weight, apart(inter), apart(add_up(weighted)), apart(squares))

    @property
    def mean_log_p(self) -> Tensor:
        """Mean log-probability of all classes, or of both sides of an element; for label smoothing, made when asked."""
        return self.class_mean(None)

    def class_mean(self, weights: Tensor | None) -> Tensor:
        """``mean_c weights_c log p_c`` (multiclass); no weights: 1."""
        y, valid = self.labels.y, self.labels.valid
        dtype = self.log_p.dtype
        if self.log_q is not None:
            return (self.log_p + self.log_q) / 2
        if y.dtype == torch.bool:
            x = torch.where(valid, self.pred, 0).to(dtype)
            return torch.where(valid, (self.log_p + side(x, ~y, self.holds, tiny_of(self.pred))) / 2, 0)
        scale = (
            torch.ones((), dtype=dtype)
            if weights is None
            else weights.to(dtype).view(1, -1, *[1] * (self.pred.ndim - 2))
        )
        if self.labels.soft:
            return (scale * self.log_p).mean(1)
        if self.holds == "probs":
            x = log_of(torch.where(valid.unsqueeze(1), self.pred, 0).to(dtype), tiny_of(self.pred))
        else:
            x = self.pred.to(dtype)
        normaliser = pick(x, y) - self.log_p  # log of the sum of exponentials: x is log p, up to a constant per pixel
        return torch.where(valid, (scale * x).mean(1) - scale.mean() * normaliser, 0)


def one_pass(
    pred: Tensor,
    target: Tensor,
    *,
    task: Task = "multiclass",
    holds: Holds = "logits",
    ignore_index: int | None = None,
    mask: Tensor | None = None,
    weight_map: Tensor | None = None,
    over: Over = "batch",
) -> OnePass:
    r"""Log-probability of the target and overlap per class, :math:`\sum w p y, \sum w p, \sum w y`, in one pass.

    Args:
        pred: (N, C, *S), or (N, *S) for a binary task; what it ``holds`` is declared. Half precision is computed in
            float32.
        target: class indices (N, *S) of any integer dtype or bool; else 0/1, or shares as floats, in the shape of
            ``pred``.
        mask: what counts, in the shape of ``target``; a size of 1 broadcasts.
        weight_map: weights, in the same shapes; 0 excludes.

    Whatever ``pred`` is where an element is excluded, it changes nothing and gets a gradient of exactly 0. A label
    out of range excludes its element, and ``labels.bad`` counts it. Raises a ShapeError for what does not fit.

    >>> passed = one_pass(torch.zeros(1, 2, 4), torch.tensor([[0, 1, 1, 1]]))
    >>> passed.counts.inter, passed.counts.target
    (tensor([0.5000, 1.5000], dtype=torch.float64), tensor([1., 3.], dtype=torch.float64))
    >>> passed.log_p
    tensor([[-0.6931, -0.6931, -0.6931, -0.6931]])
    """
    pred, target = arrange(pred, target, task)
    dtype = torch.promote_types(pred.dtype, torch.float32)
    labels = read_labels(
        target, pred.shape[1], task, dtype=dtype, ignore_index=ignore_index, mask=mask, weight_map=weight_map
    )
    if task != "multiclass" and (labels.soft or holds != "logits"):
        parts = elements_pass(pred, labels, holds)
    elif task != "multiclass":
        log_p, prob = sigmoid_pass(pred, labels.y, labels.valid)
        parts = Parts(log_p, None, prob)
    elif labels.soft or holds != "logits":
        parts = classes_pass(pred, labels, holds)
    else:
        log_p, prob = softmax_pass(pred, labels.y, labels.valid)
        parts = Parts(log_p, None, prob)
    return OnePass(pred, labels, holds, parts.log_p, parts.log_q, parts.prob, over)
