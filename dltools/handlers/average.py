"""Averages of a model's weights over the updates."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Generic, Literal, TypeVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from dltools.cfgutils.annotations import PositiveInt
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError, did_you_mean
from dltools.handlers.foreach import lerp_
from dltools.optim.utils.names import named_tensors, unwrap, walk

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="AverageCfg[Any]")
Slot = tuple[dict[str, Any], str]
"""A module's own table of parameters or buffers, and a key in it."""


class AverageCfg(Config[T_co]):
    """The family of weight averages."""

    every: PositiveInt = 1
    """One in so many updates is averaged."""
    buffers: Literal["copy", "average"] = "copy"
    """What becomes of floating buffers; integers are copied."""
    dtype: Literal["float32", "float64", "bfloat16", "float16"] | None = None
    """Of the average; None: that of the weights."""
    device: str | None = None
    """Of the average; None: that of the weights."""

    def build(self, model: nn.Module) -> T_co:
        """The average, which begins as a copy of the model."""
        return self.product()(self, model)


class Average(ABC, Generic[CfgT]):
    """A second model whose weights are an average of the first one's; names are clean of wrappers (compile, DDP)."""

    def __init__(self, cfg: CfgT, model: nn.Module) -> None:
        self.cfg: CfgT = cfg
        self.num_updates: int = 0
        """Calls of ``update``, those for skipped updates too."""
        self.module: nn.Module = copy.deepcopy(unwrap(model)).requires_grad_(False).eval()
        """The averaged model, ready to evaluate."""
        dtype = None if cfg.dtype is None else getattr(torch, cfg.dtype)
        self._casts = dtype is not None or cfg.device is not None
        if self._casts:
            self.module.to(cfg.device, dtype)
        self._model = unwrap(model)
        self._lerped: list[tuple[Slot, Slot]] = []
        self._copied: list[tuple[Slot, Slot]] = []
        self._find_slots()

    @abstractmethod
    def weight(self, n: int) -> float:
        """The share of the new weights in the average, where ``n`` averages were made before."""

    def __repr__(self) -> str:
        return f"build({self.cfg!r}, {type(self._model).__name__}) after {self.num_updates} updates"

    def update(self, skipped: bool | Tensor = False) -> None:
        """An update was made. ``skipped``, a bool or a 0-d tensor that is not read, leaves the average as it is."""
        self.num_updates += 1
        if self.num_updates % self.cfg.every or skipped is True:
            return
        weight = self.weight(self.num_updates // self.cfg.every - 1)
        with torch.no_grad():
            new, old = self._tensors(self._lerped)
            lerp_(old, new, weight, skipped)
            new, old = self._tensors(self._copied)
            lerp_(old, new, 1.0, skipped)

    @contextmanager
    def swapped(self) -> Iterator[nn.Module]:
        """Within it the model has the averaged weights; its own come back afterwards, to the bit."""
        pairs = [(source[key], own[key]) for (source, key), (own, _) in (*self._lerped, *self._copied)]
        kept = [there.detach().clone() for there, _ in pairs]
        try:
            with torch.no_grad():
                for there, average in pairs:
                    there.copy_(average)
            yield self._model
        finally:
            with torch.no_grad():
                for (there, _), before in zip(pairs, kept, strict=True):
                    there.copy_(before)

    def update_bn(self, batches: Iterable[Any]) -> None:
        """Statistics of the averaged model's batch normalisation, from a pass over ``batches``."""
        update_bn(batches, self.module)

    def state_dict(self) -> dict[str, Any]:
        """The tensors by clean name, not copied, and the number of updates."""
        return {"num_updates": self.num_updates, "tensors": named_tensors(self.module)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        own, given = named_tensors(self.module), state["tensors"]
        for name in sorted(own.keys() ^ given.keys()):
            raise ConfigError(
                f"the average's state {'lacks' if name in own else 'has'} {name!r}", hint=did_you_mean(name, own)
            )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(given[name])
        self.num_updates = state["num_updates"]

    def _find_slots(self) -> None:
        """Pair the places of tensors in both models, each tensor once."""
        averaged, seen = dict(walk(self.module)), set[int]()
        for name, module in walk(self._model):
            for table in ("_parameters", "_buffers"):
                sources, own = getattr(module, table), getattr(averaged[name], table)
                for key, tensor in sources.items():
                    if isinstance(tensor, Tensor) and id(tensor) not in seen:
                        seen.add(id(tensor))
                        is_mean = tensor.is_floating_point() or tensor.is_complex()
                        is_mean = is_mean and (table == "_parameters" or self.cfg.buffers == "average")
                        (self._lerped if is_mean else self._copied).append(((sources, key), (own, key)))

    def _tensors(self, slots: list[tuple[Slot, Slot]]) -> tuple[list[Tensor], list[Tensor]]:
        """The model's tensors and ours as they are now, whatever was moved or replaced since."""
        new = [source[key] for (source, key), _ in slots]
        old = [own[key] for _, (own, key) in slots]
        return ([x.to(y) for x, y in zip(new, old, strict=True)] if self._casts else new), old


class EmaCfg(AverageCfg["Ema"]):
    """Exponential moving average."""

    decay: Annotated[float, Ge(0), Lt(1)] = 0.999
    """Share of the old average that each new one keeps."""
    warmup: Literal["none", "ramp"] = "none"
    """ramp: a smaller decay at the start, ``min(decay, (1 + n) / (10 + n))`` after ``n`` averages."""


class Ema(Average[EmaCfg]):
    """Exponential moving average of the weights, :math:`a \\leftarrow d a + (1 - d) w`.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(model.weight, 0.0)
    >>> ema = EmaCfg(decay=0.9).build(model)
    >>> _ = nn.init.constant_(model.weight, 1.0)
    >>> ema.update()
    >>> ema.module.weight.item()
    0.100000
    >>> with ema.swapped():
    ...     model.weight.item()
    0.100000

    Kaddour et al. 2023, arXiv:2306.00763.
    """

    def weight(self, n: int) -> float:
        ramp = self.cfg.warmup == "ramp"
        return 1.0 - (min(self.cfg.decay, (1 + n) / (10 + n)) if ramp else self.cfg.decay)
