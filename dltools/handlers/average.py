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

from dltools.cfgutils.annotations import NonNegativeInt, PositiveInt
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError, did_you_mean
from dltools.handlers.foreach import copy_, lerp_, unless
from dltools.handlers.pairs import Packed, Pairs
from dltools.handlers.sharded import is_sharded
from dltools.optim.utils.names import named_tensors, unwrap, walk

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="AverageCfg[Any]")


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
        if any(map(is_sharded, model.parameters())):
            raise ConfigError(
                f"{type(cfg).__name__} of a sharded model", hint="average=None: torch cannot copy a model under FSDP2"
            )
        self.cfg: CfgT = cfg
        self.num_updates: int = 0
        """Calls of ``update``, those for skipped updates too."""
        self.module: nn.Module = copy.deepcopy(unwrap(model)).requires_grad_(False).eval()
        """The averaged model, ready to evaluate; it may be moved as a whole."""
        dtype = None if cfg.dtype is None else getattr(torch, cfg.dtype)
        if dtype is not None or cfg.device is not None:
            self.module.to(cfg.device, dtype)
        self._model = unwrap(model)
        self._params, self._means, self._copies = Pairs(), Pairs(), Pairs()
        self._small: list[Packed] = []
        self._large = Pairs()
        self._find()

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
        weight, gate = (
            self.weight(self.num_updates // self.cfg.every - 1),
            skipped if isinstance(skipped, Tensor) else None,
        )
        with torch.no_grad():
            for packed in self._small:
                packed.lerp_(weight, gate)
            lerp_(*self._large.tensors(cast=True), weight, gate)
            old, new = self._means.tensors(cast=True)
            lerp_(old, unless(gate, old, new), weight)
            old, new = self._copies.tensors(cast=True)
            copy_(old, unless(gate, old, new))

    @contextmanager
    def swapped(self) -> Iterator[nn.Module]:
        """Within it the model has the averaged weights; its own come back afterwards, to the bit."""
        pairs = [part.tensors(cast=False) for part in (self._params, self._means, self._copies)]
        kept = [[tensor.detach().clone() for tensor in theirs] for _, theirs in pairs]
        try:
            with torch.no_grad():
                for ours, theirs in pairs:
                    copy_(theirs, ours)
            yield self._model
        finally:
            with torch.no_grad():
                for (_, theirs), before in zip(pairs, kept, strict=True):
                    copy_(theirs, before)

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

    def _find(self) -> None:
        """Pair the places of the tensors of both models, each tensor once."""
        averaged, seen = dict(walk(self.module)), set[int]()
        mean = self._means if self.cfg.buffers == "average" else self._copies
        small: dict[Any, Pairs] = {}
        for name, module in walk(self._model):
            for table in ("_parameters", "_buffers"):
                sources, own = getattr(module, table), getattr(averaged[name], table)
                for key, tensor in sources.items():
                    if not isinstance(tensor, Tensor) or id(tensor) in seen:
                        continue
                    seen.add(id(tensor))
                    is_real = tensor.is_floating_point() or tensor.is_complex()
                    floating = self._params if table == "_parameters" else mean
                    (floating if is_real else self._copies).add(sources, own, key)
                    if is_real and table == "_parameters":
                        kind = (own[key].device, own[key].dtype)
                        is_small = Packed.takes(module, own[key])
                        (small.setdefault(kind, Pairs()) if is_small else self._large).add(sources, own, key)
        self._small = [Packed(pairs) for pairs in small.values()]


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


class SwaCfg(AverageCfg["Swa"]):
    """Equal average of all weights from some update on."""

    start_step: NonNegativeInt = 0
    """Updates before the first that counts; until then the average is a copy."""


class Swa(Average[SwaCfg]):
    """Stochastic weight averaging: the mean of the weights after every ``every``-th update past ``start_step``.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> swa = SwaCfg(start_step=1).build(model)
    >>> for weight in (9.0, 1.0, 2.0):
    ...     _ = nn.init.constant_(model.weight, weight)
    ...     swa.update()
    >>> swa.module.weight.item()
    1.5

    A skipped update counts as one, and changes nothing.

    Izmailov et al. 2018, arXiv:1803.05407.
    """

    def weight(self, n: int) -> float:
        return 1.0 / max(1, n + 1 - self.cfg.start_step // self.cfg.every)
