"""Kullback-Leibler divergence, above all from a teacher."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dltools.cfgutils.annotations import Positive
from dltools.errors import ConfigError
from dltools.functional.overlap import OnePass
from dltools.functional.probs import classes_pass, elements_pass
from dltools.functional.targets import Labels, arrange
from dltools.losses.dense import DenseLossCfg
from dltools.losses.pixel import AnyPixelLoss
from dltools.losses.view import View


class KLLossCfg(DenseLossCfg["KLLoss"]):
    temperature: Positive = 1.0
    """What logits are divided by, those of the target too."""
    target_holds: Literal["probs", "logits"] = "probs"
    """What a target of floats is; probabilities are taken as they are, at any temperature."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature != 1 and self.holds != "logits":
            raise ConfigError(f"temperature={self.temperature} with holds={self.holds!r}", expected="holds='logits'")


class KLLoss(AnyPixelLoss[KLLossCfg]):
    r"""Kullback-Leibler divergence, :math:`T^2 \sum_c y_c (\log y_c - \log p_c)`, mean over valid pixels.

    :math:`p` is the softmax of the prediction's logits by the temperature :math:`T`, and so is :math:`y` of the
    target's if it holds logits. A binary or multilabel element has two classes, presence and absence. Class indices
    as targets give cross entropy. Class weights weigh pixels, by :math:`\sum_c w_c y_c`. Natural logarithm.

    Shapes: pred and target (N, C, *S). Raises ShapeError.

    >>> import torch
    >>> loss = KLLoss(temperature=2.0, target_holds="logits")
    >>> student, teacher = torch.zeros(1, 2), torch.tensor([[2.0, 0.0]])
    >>> loss(student, teacher), loss(teacher, teacher)
    (tensor(0.4438), tensor(0.))

    Source: Hinton et al. 2015, arXiv:1503.02531.
    """

    def elements(self, view: View) -> tuple[Labels, Tensor, Tensor | None]:
        passed = self._pass(view)
        labels, share = passed.labels, self.share_of(passed.labels)
        loss = self._soft(passed, view.target) if labels.soft else -passed.log_p
        loss = loss * self.cfg.temperature**2
        return labels, loss if share is None else loss * share, share

    def _pass(self, view: View) -> OnePass:
        """The usual one, if neither temperature nor logits of the target change what it sees."""
        pred, target, mask, weight_map = view.tensors()
        pred, target = arrange(pred, target, self.cfg.task)
        from_logits = self.cfg.target_holds == "logits" and target.is_floating_point()
        if self.cfg.temperature == 1 and not from_logits:
            return self.look(view)
        inner = View(self._cool(pred), self._probs(target) if from_logits else target, mask, weight_map)
        return view.once(("kl", self.cfg), lambda: self.look(inner))

    def _probs(self, logits: Tensor) -> Tensor:
        """Probabilities of the target; what is ignored stays as it is."""
        x, label = self._cool(logits).to(torch.promote_types(logits.dtype, torch.float32)), self.cfg.ignore_index
        probs = x.softmax(1) if self.cfg.task == "multiclass" else x.sigmoid()
        if label is None:
            return probs
        ignored = logits == label
        return torch.where(ignored.all(1, keepdim=True) if self.cfg.task == "multiclass" else ignored, label, probs)

    def _soft(self, passed: OnePass, target: Tensor) -> Tensor:
        """Of targets that are floats; equal logits on both sides give 0, since both go the same way."""
        target, y = target.view_as(passed.pred), passed.labels.y
        if self.cfg.target_holds == "logits":
            target = self._cool(target)
        read = classes_pass if passed.labels.of_pixels else elements_pass
        truth = read(target, passed.labels, self.cfg.target_holds)
        if passed.log_q is None or truth.log_q is None:
            return (y * (truth.log_p - passed.log_p)).sum(1)
        return y * (truth.log_p - passed.log_p) + (1 - y) * (truth.log_q - passed.log_q)

    def _cool(self, x: Tensor) -> Tensor:
        if self.cfg.temperature == 1:
            return x
        return x.to(torch.promote_types(x.dtype, torch.float32)) / self.cfg.temperature


KL = KLLoss
KLCfg = KLLossCfg
