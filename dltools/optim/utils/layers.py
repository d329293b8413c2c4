"""Layer-wise learning-rate decay: how deep in the model a parameter stands."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from dltools.errors import ConfigError
from dltools.optim.utils.names import walk


def layer_depths(model: nn.Module, names: Iterable[str]) -> dict[str, int]:
    """Depth of parameters, given by their clean names.

    Inside the Sequential or ModuleList with the most children (the first of equals) it is the index there; -1 for what
    is registered before, the number of children for what is registered after.

    >>> net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    >>> layer_depths(net, ["0.weight", "2.weight"])
    {'0.weight': 0, '2.weight': 2}

    Bao et al. 2021, arXiv:2106.08254. Raises ConfigError for a model without such a stack.
    """
    modules = walk(model)
    stack, children = stack_of(model)
    index = {f"{stack}{key}": depth for depth, key in enumerate(children)}
    depths: dict[str, int] = {}
    outside = -1
    for prefix, _ in modules:
        inside = index.get(stack + prefix[len(stack) :].partition(".")[0]) if prefix.startswith(stack) else None
        if inside is not None:
            outside = len(children)
        depths[prefix] = outside if inside is None else inside
    return {name: depths[name.rpartition(".")[0]] for name in names}


def stack_of(model: nn.Module) -> tuple[str, list[str]]:
    """The Sequential or ModuleList with the most children: what the names of its parts begin with, and their keys.

    >>> stack_of(nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.ReLU())))
    ('0.', ['0', '1', '2'])

    Raises ConfigError where there is none.
    """
    stacks = [(name, list(m._modules)) for name, m in walk(model) if isinstance(m, nn.Sequential | nn.ModuleList)]
    name, children = max(stacks, key=lambda stack: len(stack[1]), default=("", []))
    if not children:
        raise ConfigError(
            f"{type(model).__name__} has no Sequential or ModuleList",
            expected="a stack of layers to count along",
            hint="rules with lr_mult, or a match, say by name which layers are meant",
        )
    return (f"{name}." if name else ""), children
