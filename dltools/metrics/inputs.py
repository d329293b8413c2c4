"""What an update is given, and which parameter of ``count`` takes what of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dltools.errors import ConfigError, ShapeError, did_you_mean

POSITIONAL = ("pred", "target")
"""What the positional arguments of ``update`` are called."""
TENSORS = ("Tensor", "Tensor | None", "torch.Tensor", "torch.Tensor | None")
"""Annotations of parameters that take nothing else."""


class Batch(NamedTuple):
    """The inputs of one update by name, detached."""

    inputs: Mapping[str, Any]
    size: int
    """Samples."""
    given_valid: Tensor | None
    """Bool (N,): which of them count; all, if None."""
    device: torch.device

    @property
    def valid(self) -> Tensor:
        """The mask, made if there is none."""
        given = self.given_valid
        return torch.ones(self.size, dtype=torch.bool, device=self.device) if given is None else given


class Parameter(NamedTuple):
    """A parameter of ``count`` and the input that it takes."""

    name: str
    source: str
    required: bool
    tensor: bool = False
    """Whether it says that it is one."""


def parameters(count: Callable[..., None], inputs: Mapping[str, str]) -> tuple[Parameter, ...]:
    """The parameters of a metric's ``count`` after the states; ``inputs`` names other sources for some of them."""
    own = list(inspect.signature(count).parameters.values())[1:]
    named = [p for p in own if p.name != "valid" and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if unknown := sorted(inputs.keys() - {p.name for p in named}):
        raise ConfigError(
            f"inputs names {', '.join(unknown)}", expected=f"parameters of count: {', '.join(p.name for p in named)}"
        )
    says = {p.name: inspect.formatannotation(p.annotation).strip("'") for p in named}
    return tuple(
        Parameter(p.name, inputs.get(p.name, p.name), p.default is p.empty, says[p.name] in TENSORS) for p in named
    )


def read_batch(batch: Sequence[Any], valid: Tensor | None, named: Mapping[str, Any]) -> Batch:
    """Name the positional inputs, and detach all."""
    if len(batch) > len(POSITIONAL):
        raise ConfigError(
            f"update got {len(batch)} positional inputs", expected="pred, target", hint="give the others by name"
        )
    first = dict(zip(POSITIONAL, batch, strict=False))
    if twice := sorted(first.keys() & named.keys()):
        raise ConfigError(f"{', '.join(twice)} is given twice", expected="once, by position or by name")
    inputs = {
        name: x.detach() if isinstance(x, Tensor) and x.requires_grad else x for name, x in {**first, **named}.items()
    }
    if not inputs:
        raise ConfigError("update got no inputs", expected="pred, target, or others by name")
    tensors = [x for x in inputs.values() if isinstance(x, Tensor)]
    device = tensors[0].device if tensors else torch.device("cpu")
    size = _size(*next(iter(inputs.items())))
    if valid is None:
        return Batch(inputs, size, None, device)
    if valid.shape != (size,) or valid.dtype != torch.bool:
        raise ShapeError(f"valid is {tuple(valid.shape)} {valid.dtype}", expected=f"a bool tensor ({size},)")
    return Batch(inputs, size, valid.detach().to(device), device)


def bind(takes: Iterable[Parameter], batch: Batch, owner: str) -> dict[str, Any]:
    """The arguments of one ``count``."""
    missing = [p.source for p in takes if p.required and p.source not in batch.inputs]
    if missing:
        raise ConfigError(
            f"{owner} needs {', '.join(missing)}; update got {', '.join(batch.inputs)}",
            hint=f"update(..., {missing[0]}=...), or inputs={{parameter: keyword}} in the config",
        )
    found = {p.name: batch.inputs[p.source] for p in takes if p.source in batch.inputs}
    for p in takes:
        x = found.get(p.name)
        if p.tensor and not isinstance(x, Tensor) and (p.required or x is not None):
            raise ShapeError(
                f"{owner} got {p.source} as {type(x).__name__}", "a tensor", f"torch.as_tensor({p.source})"
            )
    return found


def refuse_unused(batch: Batch, takes: Iterable[Parameter]) -> None:
    """A keyword that nobody takes is a typo."""
    known = {p.source for p in takes} | set(POSITIONAL)
    for name in batch.inputs:
        if name not in known:
            raise ConfigError(f"no metric takes {name!r}", hint=did_you_mean(name, known | {"valid"}))


def on_host(x: Any) -> bool:
    """Whether what a tensor holds is known at once: on a device one would wait for it, in a graph it is not there."""
    return type(x) is Tensor and x.is_cpu and not torch.compiler.is_compiling()


def _size(name: str, x: Any) -> int:
    if not isinstance(x, Sized):
        raise ShapeError(f"{name} is a {type(x).__name__}", expected="a tensor, or a list with an entry per sample")
    if isinstance(x, Tensor) and x.ndim == 0:
        raise ShapeError(f"{name} is a single number", expected="samples in dim 0", hint=f"{name}.reshape(1)")
    return x.shape[0] if isinstance(x, Tensor) else len(x)
