"""What the losses of one call see: a prediction and its target, and whatever several of them need, made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from dltools.errors import DltoolsError, ShapeError, did_you_mean
from dltools.functional.overlap import OnePass, one_pass
from dltools.functional.targets import Holds, Task

MaybeTensor = Tensor | Mapping[str, Tensor] | None
S = TypeVar("S", bound="Seen")


class Seen(Protocol):
    """What losses make of a view; from it the samples and bad targets are logged."""

    @property
    def dtype(self) -> torch.dtype: ...  # of the loss: float32 or better
    @property
    def num_samples(self) -> int: ...
    @property
    def num_valid(self) -> Tensor: ...
    @property
    def bad(self) -> Tensor: ...


class Reads(Protocol):
    """How a loss reads a prediction and its target."""

    @property
    def task(self) -> Task: ...
    @property
    def holds(self) -> Holds: ...
    @property
    def ignore_index(self) -> int | None: ...
    @property
    def check(self) -> bool: ...


class View:
    """A prediction and its target; losses that read them in the same way share what they make of them."""

    def __init__(self, pred: Any, target: Any, mask: MaybeTensor = None, weight_map: MaybeTensor = None) -> None:
        self.pred: Any = pred
        self.target: Any = target
        self.mask: MaybeTensor = mask
        self.weight_map: MaybeTensor = weight_map
        self._made: dict[Hashable, Seen] = {}
        self._routes: dict[tuple[str, str], View] = {}

    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Prediction, target, mask and weight map; a ShapeError if they are anything but tensors."""
        pred, target, mask, weight_map = map(_tensor, _NAMES, (self.pred, self.target, self.mask, self.weight_map))
        if pred is None or target is None:
            raise ShapeError("pred or target is None", expected="tensors")
        return pred, target, mask, weight_map

    def once(self, key: Hashable, make: Callable[[], S]) -> S:
        """What ``make`` makes, for all losses that give the same key."""
        if key not in self._made:
            self._made[key] = make()
        return cast(S, self._made[key])

    def read(self, cfg: Reads) -> OnePass:
        """The pass over ``pred``, with counts per sample."""
        key = (cfg.task, cfg.holds, cfg.ignore_index)
        passed = cast("OnePass | None", self._made.get(key))
        if passed is None:
            pred, target, mask, weight_map = self.tensors()
            passed = self._made[key] = one_pass(
                pred,
                target,
                task=cfg.task,
                holds=cfg.holds,
                ignore_index=cfg.ignore_index,
                mask=mask,
                weight_map=weight_map,
                over="sample",
            )
        if cfg.check:
            _check(passed, self.target, cfg)
        return passed

    def route(self, pred: str, target: str) -> View:
        """The view of a part of nested predictions and targets, by dotted paths."""
        if (pred, target) not in self._routes:
            mask, weight_map = (x.get(target) if isinstance(x, Mapping) else x for x in (self.mask, self.weight_map))
            parts = follow(self.pred, pred, "pred"), follow(self.target, target, "target")
            self._routes[pred, target] = View(*parts, mask, weight_map)
        return self._routes[pred, target]

    def refuse_strays(self) -> None:
        """A ShapeError for a mask or weight map of a target that no loss has read."""
        paths = [target for _, target in self._routes]
        for name, x in (("mask", self.mask), ("weight_map", self.weight_map)):
            for path in x if isinstance(x, Mapping) else ():
                if path not in paths:
                    raise ShapeError(f"{name} has {path!r}, which no route leads to", hint=did_you_mean(path, paths))

    @property
    def dtype(self) -> torch.dtype:
        """Of the loss: float32 or better."""
        found = [one.dtype for _, one in self._all()] or [x.dtype for x in _floats(self.pred)]
        return reduce(torch.promote_types, found, torch.float32)

    def seen(self) -> tuple[Tensor, Tensor]:
        """Number of samples, 0 if nothing in them is valid, and of bad targets.

        Losses that read one target in different ways may each find labels out of range: the most that one finds. A loss
        that reads the tensors by itself has seen what stands in dimension 0 of the first one.
        """
        samples: list[Tensor] = []
        bad: dict[str, list[Tensor]] = {}
        for target, one in self._all():
            samples.append(one.num_valid.clamp_max(1) * one.num_samples)
            bad.setdefault(target, []).append(one.bad)
        if not samples:
            first = next(_floats(self.pred), torch.zeros(0))
            none = torch.zeros((), dtype=torch.float64, device=first.device)
            return none + (len(first) if first.ndim else 1), none
        return _most(samples), reduce(torch.add, map(_most, bad.values()))

    def _all(self, path: str = "") -> list[tuple[str, Seen]]:
        """What was made, with the path to its target."""
        here = [(path, one) for one in self._made.values()]
        return here + [
            one for (_, target), view in self._routes.items() for one in view._all(f"{path}.{target}".strip("."))
        ]


def _floats(tree: Any) -> Iterator[Tensor]:
    """The tensors of floats in nested mappings and sequences."""
    if isinstance(tree, Tensor):
        yield from [tree] if tree.is_floating_point() else []
    elif isinstance(tree, (Mapping, Sequence)) and not isinstance(tree, str):
        for part in tree.values() if isinstance(tree, Mapping) else tree:
            yield from _floats(part)


def _most(found: list[Tensor]) -> Tensor:
    return found[0] if len(found) == 1 else torch.stack(found).amax(0)


def follow(tree: Any, path: str, side: str) -> Any:
    """The entry of nested mappings and sequences that a dotted path names."""
    for step in path.split(".") if path else ():
        if isinstance(tree, Mapping) and step in tree:
            tree = tree[step]
        elif isinstance(tree, Sequence) and step.isdigit() and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            keys = [str(key) for key in tree] if isinstance(tree, Mapping) else []
            known = did_you_mean(step, keys) if keys else f"it is a {type(tree).__name__}"
            there = f"; it has {', '.join(keys)}" if keys else ""
            raise ShapeError(f"{side} has no {step!r} (route {path!r}){there}", hint=known)
    return tree


_NAMES = ("pred", "target", "mask", "weight_map")


def _tensor(name: str, x: Any) -> Tensor | None:
    if x is None or isinstance(x, Tensor):
        return x
    keys = f" with {', '.join(map(str, x))}" if isinstance(x, Mapping) else ""
    hint = "Combine has routes for parts" if isinstance(x, Mapping) else f"torch.as_tensor({name})"
    raise ShapeError(f"{name} is a {type(x).__name__}{keys}", expected="a tensor", hint=hint)


def _check(passed: OnePass, target: Tensor, cfg: Reads) -> None:
    """Look at the values; only for ``check=True``."""
    if int(passed.labels.bad):
        limit = passed.prob.shape[1] if cfg.task == "multiclass" else 2
        label = target if passed.labels.soft else target.long()
        bad = ~((label >= 0) & (label <= (1 if passed.labels.soft else limit - 1)))
        found = sorted({x for x in label[bad].tolist() if x != cfg.ignore_index})
        legal = "0 to 1" if passed.labels.soft else f"0 to {limit - 1}"
        raise DltoolsError(
            f"target has the label {', '.join(map(str, found[:5]))}",
            expected=f"{legal}, or ignore_index, which is {cfg.ignore_index}",
            hint="ignore_index excludes one label",
        )
    x = passed.pred if cfg.holds != "log_probs" else passed.pred.exp()
    valid = passed.labels.valid.unsqueeze(1) if passed.labels.of_pixels else passed.labels.valid
    if cfg.holds != "logits" and bool((((x < 0) | (x > 1)) & valid).any()):
        raise DltoolsError(f"pred reaches beyond {cfg.holds}", expected="probabilities 0 to 1", hint="holds='logits'?")
    if cfg.holds == "logits" and cfg.task == "multiclass" and _are_shares(x, passed.labels.valid):
        raise DltoolsError(
            "pred is nowhere negative and sums to 1 over the classes", expected="logits", hint="holds='probs'?"
        )


def _are_shares(x: Tensor, valid: Tensor) -> bool:
    """Whether all that counts looks like probabilities, of half precision too."""
    near = ((x >= 0).all(1) & ((x.float().sum(1) - 1).abs() < 0.02)) | ~valid.reshape(x.shape[0], *x.shape[2:])
    return bool(valid.any()) and bool(near.all())
