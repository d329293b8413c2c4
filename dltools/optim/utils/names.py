"""Names of modules and parameters as their author wrote them, without what wrappers put in front."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dltools.errors import ConfigError

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Children under these names are the wrapped module: torch.compile, FSDP, activation checkpointing."""
FABRIC = {"_forward_module", "_original_module"}
"""Children of what Lightning Fabric makes of a module: the one that it calls, and the user's."""
PARALLEL = (nn.parallel.DistributedDataParallel, nn.DataParallel)
"""These keep it under ``module``, a name that is a user's own elsewhere."""


def unwrap(module: nn.Module) -> nn.Module:
    """The user's module inside any number of wrappers.

    >>> net = nn.Linear(2, 2)
    >>> unwrap(nn.DataParallel(net)) is net
    True
    """
    while (inner := _inner(module)) is not None:
        module = inner
    return module


def _inner(module: nn.Module) -> nn.Module | None:
    children = module._modules
    if children.keys() == FABRIC:
        return children["_original_module"]
    if len(children) != 1:
        return None
    if isinstance(module, PARALLEL):
        return children["module"]
    return next((children[name] for name in WRAPPERS if name in children), None)


def walk(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """All modules with their clean names, parents first; a shared module comes under each of its names.

    >>> [name for name, _ in walk(nn.Sequential(nn.Linear(1, 1), nn.DataParallel(nn.ReLU())))]
    ['', '0', '1']
    """
    found: list[tuple[str, nn.Module]] = []
    _walk(unwrap(module), "", found)
    return found


def _walk(module: nn.Module, name: str, found: list[tuple[str, nn.Module]]) -> None:
    found.append((name, module))
    for key, child in module._modules.items():
        if child is None:
            continue
        full = f"{name}.{key}" if name else key
        if child._modules:
            _walk(unwrap(child), full, found)
        else:  # most modules; 10 000 of them should cost little more than a loop
            found.append((full, child))


def named_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters with their clean names; a tied one comes under each of its names."""
    for name, module in walk(model):
        for key, param in module._parameters.items():
            if param is not None:
                yield (f"{name}.{key}" if name else key), param


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by clean name, each once, under its first name."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, module in walk(model):
        buffers = {k: b for k, b in module._buffers.items() if k not in module._non_persistent_buffers_set}
        for key, tensor in (module._parameters | buffers).items():
            if isinstance(tensor, torch.Tensor):
                found.setdefault(id(tensor), (f"{name}.{key}" if name else key, tensor))
    return dict(found.values())


def check_regex(match: str | None) -> None:
    """A ConfigError for what is no regular expression."""
    try:
        re.compile(match or "")
    except re.error as error:
        raise ConfigError(f"match {match!r} is no regular expression: {error}") from None
