"""Losses of features: how far a network sees two images apart, layer by layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dltools.cfgutils.annotations import NonNegative
from dltools.errors import ConfigError, ShapeError
from dltools.functional.widen import widen
from dltools.losses.base import LossCfg, T_co
from dltools.losses.view import View
from dltools.losses.weighing import MeanLoss, Pair, Weighing, read_weights, refuse_values

Features = tuple[Tensor, ...]
FeatureCfgT = TypeVar("FeatureCfgT", bound="FeatureLossCfg[Any]")


class FeatureLossCfg(LossCfg[T_co]):
    """What losses of features have in common."""

    distance: Literal["l1", "mse"] = "mse"
    """Absolute or squared difference."""
    weights: tuple[NonNegative, ...] | None = None
    """One for each layer, in the order of the prediction; 1 by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights == ():
            raise ConfigError("weights is ()", expected="a number >= 0 for each layer", hint="None for 1")


class FeatureLoss(MeanLoss[FeatureCfgT]):
    """A weighted sum over layers of the mean distance of features; mean over samples.

    Shapes: pred and target sequences, or mappings with the same keys, of features (N, ...), floats of equal shapes, or
    one tensor each; mask and weight_map of samples, (N,). The network is the user's, and so is which side has a
    gradient. ``none`` gives a loss for each sample. Raises ShapeError.
    """

    @abstractmethod
    def compared(self, features: Tensor) -> Tensor:
        """What is compared of one layer (N, ...), in float32 or better: (N, ...)."""

    def weighed(self, view: View) -> tuple[Tensor, Tensor]:
        pair = view.once("features", lambda: _read(view))
        if self.cfg.check:
            refuse_values(pair.bad, *pair.target)
        scales = self.cfg.weights or (1.0,) * len(pair.pred)
        if len(scales) != len(pair.pred):
            raise ShapeError(f"{len(scales)} weights for {len(pair.pred)} layers", expected="one for each layer")
        apart = F.l1_loss if self.cfg.distance == "l1" else F.mse_loss
        losses = []
        for scale, pred, target in zip(scales, pair.pred, pair.target, strict=True):
            distance = apart(self.compared(pred), self.compared(target), reduction="none")
            flat = distance.unsqueeze(-1).flatten(1)
            losses.append(scale * flat.sum(1) / max(flat.shape[1], 1))
        return pair.weigh(torch.stack(losses).sum(0))


def _read(view: View) -> Pair[Features]:
    """The layers of both sides, 0 where a sample is excluded."""
    names, pred = _layers(view.pred, "pred")
    others, target = _layers(view.target, "target")
    if names != others and set(names) == set(others):
        target = tuple(target[others.index(name)] for name in names)
    elif names != others:
        raise ShapeError(f"pred has the layers {names}, target {others}", expected="the same layers on both sides")
    for name, one, other in zip(names, pred, target, strict=True):
        if one.shape != other.shape or not (one.is_floating_point() and other.is_floating_point()) or not one.ndim:
            given = f"layer {name}: pred {tuple(one.shape)} {one.dtype}, target {tuple(other.shape)} {other.dtype}"
            raise ShapeError(given, expected="floats of one shape (N, ...)")
        if len(one) != len(pred[0]):
            raise ShapeError(f"layer {name} has {len(one)} samples, the first {len(pred[0])}", expected="as many")
    first, *_, mask, weight_map = View(pred[0], pred[0], view.mask, view.weight_map).tensors()
    dtype = reduce(torch.promote_types, [x.dtype for x in pred], torch.float32)
    found = read_weights(first, (len(first),), mask, weight_map, dtype=dtype)
    return found.of(_kept(pred, found), _kept(target, found))


def _layers(tree: Any, side: str) -> tuple[list[str], Features]:
    """Names and features of one side."""
    given = {"": tree} if isinstance(tree, Tensor) else tree
    if isinstance(given, Sequence) and not isinstance(given, str):
        given = {str(at): x for at, x in enumerate(given)}
    if not isinstance(given, Mapping) or not given or not all(isinstance(x, Tensor) for x in given.values()):
        expected = "a sequence or mapping of tensors, at least one"
        raise ShapeError(f"{side} is a {type(tree).__name__} of other things, or of nothing", expected=expected)
    return [str(name) for name in given], tuple(given.values())


def _kept(layers: Features, found: Weighing) -> Features:
    """Layers in the dtype of the loss, 0 where a sample is excluded."""
    if found.valid is not None:
        valid = found.valid
        layers = tuple(torch.where(valid.view(-1, *[1] * (x.ndim - 1)), x, 0) for x in layers)
    return tuple(widen(x).to(found.dtype) for x in layers)
