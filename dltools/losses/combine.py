"""A weighted sum of losses that share one pass over the prediction and one collective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from dltools.cfgutils.config import build
from dltools.errors import ConfigError, did_you_mean
from dltools.losses.balance import Balance, BalanceCfg
from dltools.losses.base import Loss, LossCfg
from dltools.losses.buffers import buffer_on
from dltools.losses.distutils import Sums
from dltools.losses.view import MaybeTensor, View
from dltools.losses.weights import Weight, WeightCfg


class CombineCfg(LossCfg["Combine"]):
    terms: Mapping[str, LossCfg[Any]]
    """Losses by name; each has its own reduction, and ``sync`` of the whole counts for all."""
    weights: Mapping[str, float | WeightCfg[Any]] = {}
    """Of the terms, 1 by default; a number, or a schedule that ``Combine.step`` moves."""
    routes: Mapping[str, tuple[str, str]] = {}
    """Where a term finds its part of nested predictions and targets: dotted paths into ``pred`` and ``target``."""
    balance: BalanceCfg[Any] | None = None
    """Also weigh the terms by what they are: Uncertainty, EmaNorm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.terms or self.reduction == "none":
            raise ConfigError(
                f"terms: {', '.join(self.terms) or 'none'}; reduction={self.reduction!r}",
                expected="at least one term, and one value for all",
            )
        for name, term in self.terms.items():
            if name in _RESERVED or not name or set(name) & set("./"):
                raise ConfigError(f"terms: {name!r} is no name for a term", hint="a plain word, such as 'dice'")
            if term.reduction == "none":
                raise ConfigError(f"terms.{name} has reduction='none'", expected="'mean' or 'sum'")
        for field, given in (("weights", self.weights), ("routes", self.routes)):
            for name in given:
                if name not in self.terms:
                    raise ConfigError(f"{field}: no term {name!r}; {did_you_mean(name, self.terms)}")


class Combine(Loss[CombineCfg]):
    r"""Weighted sum of losses, :math:`\sum_k w_k L_k`.

    Dense terms that read prediction and target in the same way (task, holds, ignore_index) share one softmax, and all
    sums go through one all_reduce. Terms may be nested. ``pred``, ``target``, ``mask`` and ``weight_map`` are what
    the terms take; with routes ``pred`` and ``target`` are nested mappings, and ``mask`` and ``weight_map`` may map
    target paths. A route that leads nowhere is a ShapeError.

    Weights with a schedule stay at step 0 until the loop calls ``step()`` after each update, or ``step(i)``; a
    ``state_dict`` has the step.

    >>> from dltools.losses import CELossCfg, DiceLossCfg, LinearWeightCfg
    >>> loss = Combine(terms={"ce": CELossCfg(), "dice": DiceLossCfg()}, weights={"dice": 2.0})
    >>> loss(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(1.6931)
    >>> loss.parts()["dice"]
    tensor(0.5000, dtype=torch.float64)
    >>> loss = Combine(terms={"ce": CELossCfg()}, weights={"ce": LinearWeightCfg(first=0.0, last=1.0, steps=4)})
    >>> loss.step(3)
    >>> loss(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]))
    tensor(0.5199)
    """

    schedule_step: Tensor

    def setup(self) -> None:
        sync, balance = self.cfg.sync, self.cfg.balance
        built = {
            name: build(cfg if cfg.sync == sync else cfg.replace(sync=sync)) for name, cfg in self.cfg.terms.items()
        }
        self.terms: nn.ModuleDict = nn.ModuleDict(built)
        self.balance: Balance | None = None if balance is None else build(balance, len(built))
        self.schedules: dict[str, Weight[Any]] = {
            name: build(weight) for name, weight in self.cfg.weights.items() if isinstance(weight, WeightCfg)
        }
        self.register_buffer("schedule_step", torch.zeros(1, dtype=torch.int64))

    def term(self, name: str) -> Loss[Any]:
        """One of the losses."""
        return cast("Loss[Any]", self.terms[name])

    def names(self) -> tuple[str, ...]:
        inner = [f"{name}/{part}" for name in self.terms for part in self.term(name).names()]
        return (*self.terms, *(f"{name}.weight" for name in self.terms), *inner)

    def sums(self, view: View) -> Sums:
        """All sums of the terms, their names in front."""
        together: Sums = {}
        for name in self.terms:
            route = self.cfg.routes.get(name)
            sums = self.term(name).sums(view.route(*route) if route else view)
            together |= {f"{name}/{key}": x for key, x in sums.items()}
        return together

    def value(self, sums: Sums) -> Tensor:
        return self.outcome(sums)["loss"]

    def outcome(self, sums: Sums) -> dict[str, Tensor]:
        """The weighted sum, the terms, their weights."""
        found = self._found(sums)
        terms, weights = (torch.stack([found[f"{name}{end}"] for name in self.cfg.terms]) for end in ("", ".weight"))
        if self.balance is None:
            return {"loss": torch.dot(terms, weights), **found}
        weights, more = self.balance.weigh(terms, weights, self.cfg.sync)
        found |= {f"{name}.weight": weight for name, weight in zip(self.cfg.terms, weights.unbind(), strict=True)}
        return {"loss": torch.dot(terms, weights) + more, **found}

    def _found(self, sums: Sums) -> dict[str, Tensor]:
        """The terms, their given weights, what terms find within."""
        own: dict[str, Sums] = {name: {} for name in self.cfg.terms}
        for path, x in sums.items():
            name, _, key = path.partition("/")
            own[name][key] = x
        found: dict[str, Tensor] = {}
        for name, its in own.items():
            term = self.term(name)
            parts = term.outcome(its) if term.names() else {"loss": term.value(its)}
            found[name] = parts.pop("loss")
            found[f"{name}.weight"] = self._weight(name, found[name])
            found |= {f"{name}/{key}": x for key, x in parts.items()}
        return found

    def losses(
        self, pred: Any, target: Any, *, mask: MaybeTensor = None, weight_map: MaybeTensor = None
    ) -> dict[str, Tensor]:
        """The terms, unweighted and attached to the graph; logs nothing."""
        view = View(pred, target, mask, weight_map)
        found = self._found(self.merged(self.sums(view), view))
        return {name: found[name].to(view.dtype) for name in self.cfg.terms}

    def step(self, step: int | None = None) -> None:
        """Let the schedules, of nested terms too, go on by one step, or to the given one; they begin at 0."""
        self.schedule_step = self.schedule_step + 1 if step is None else torch.full_like(self.schedule_step, step)
        for term in self.terms.values():
            if isinstance(term, Combine):
                term.step(step)

    def _weight(self, name: str, like: Tensor) -> Tensor:
        if name in self.schedules:
            return self.schedules[name].at(buffer_on(self, "schedule_step", like.device)).to(like.dtype).squeeze(0)
        return torch.full_like(like, float(cast(float, self.cfg.weights.get(name, 1.0))))


_RESERVED = frozenset({"loss", "bad_targets", *dir(nn.ModuleDict())})
