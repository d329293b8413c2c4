"""Layer-wise learning-rate decay: how deep in the model a parameter stands."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from dltools.errors import ConfigError
from dltools.optim.utils.names import walk


def layer_depths(model: nn.Module, names: Iterable[str]) -> dict[str, int]:
    """Depth of each parameter, from clean names in the order of registration.

    Inside the largest Sequential or ModuleList it is the index there; -1 for what comes before, its length for what comes after.

    >>> net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    >>> layer_depths(net, ["0.weight", "2.weight"])
    {'0.weight': 0, '2.weight': 2}
    """
    stack, length = _largest(model)
    children = {f"{stack}{key}.": index for index, key in enumerate(length)}
    depths, depth_outside = {}, -1
    for name in names:
        key = name[len(stack) :].partition(".")[0] if name.startswith(stack) else None
        inside = children.get(f"{stack}{key}.") if key is not None else None
        if inside is not None:
            depth_outside = len(children)
        depths[name] = depth_outside if inside is None else inside
    return depths


def _largest(model: nn.Module) -> tuple[str, list[str]]:
    """The stack with the most children, the first of equals: what its names begin with, and the names of its children."""
    stacks = [(name, list(m._modules)) for name, m in walk(model) if isinstance(m, nn.Sequential | nn.ModuleList)]
    if not stacks:
        raise ConfigError(
            f"layer_decay: {type(model).__name__} has no Sequential or ModuleList",
            expected="a stack of layers to count along",
            hint="give rules with lr_mult instead",
        )
    name, children = max(stacks, key=lambda stack: len(stack[1]))
    return (f"{name}." if name else ""), children
