"""``collect``: every number of a run, merged over the ranks in one collective and read on the host at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dltools.dist import Group, flat_reduce, world
from dltools.errors import ConfigError
from dltools.meters.report import Reading, Report
from dltools.states import States


@runtime_checkable
class Source(Protocol):
    """What can be collected: states, and how to read values off them once they are merged."""

    @property
    def states(self) -> States:
        """What is counted."""
        ...

    def read(self, s: States) -> Mapping[str, Reading]:
        """Values by name; the empty name stands for the source's own place in the tree."""
        ...


def collect(
    tree: Source | Mapping[str, Any],
    *,
    group: Group = None,
    sync: bool = True,
    reset: bool = False,
    timeout: float | None = None,
) -> Report:
    """Merge every source of a tree over the ranks in one collective, and read all values on the host.

    ``tree``: sources (losses, metrics, meters, a StepHandler) by name, nested as one likes; names are joined by ``/``.
    Every rank must call it. ``sync=False`` reads this process alone; ``reset`` starts all sources again afterwards.

    >>> from dltools.meters import Mean
    >>> loss = Mean()
    >>> loss.update(torch.tensor(0.5), n=8)
    >>> collect({"train": {"loss": loss}})["train/loss"]
    0.5
    """
    sources = list(_sources(tree, getattr(tree, "lone_name", "")))
    unique = {id(states): states for _, _, states in sources}
    parts = [(kind, states.stored(name)) for states in unique.values() for name, kind in states.layout.items()]
    local = _to_host([tensor for _, tensor in parts])
    if sync and world(group) > 1:
        schema = "\n".join(f"{path}: {_kind(source)} {states.layout}" for path, source, states in sources)
        kinds = [kind for kind, _ in parts]
        local = flat_reduce(list(zip(kinds, local, strict=True)), group=group, schema=schema, timeout=timeout)
    values = iter(local)
    merged = {
        key: States.merged(states.layout, {name: next(values) for name in states.layout})
        for key, states in unique.items()
    }
    readings = dict[str, Reading]()
    for path, source, states in sources:
        readings |= {_join(path, name): reading for name, reading in source.read(merged[id(states)]).items()}
    if reset:
        for _, source, states in sources:
            getattr(source, "reset", states.reset)()
    return Report.of(readings)


def _sources(tree: Any, path: str) -> Iterator[tuple[str, Source, States]]:
    """The leaves of the tree in the order of their paths, which is the same on every rank; and what they count in."""
    if isinstance(tree, Mapping):
        for name in sorted(tree):
            yield from _sources(tree[name], _join(path, name))
    elif hasattr(tree, "states") and hasattr(tree, "read"):  # isinstance of a protocol asks this too, but costs more
        yield path, tree, tree.states
    else:
        raise ConfigError(
            f"{path or 'the tree'} is a {type(tree).__name__}", expected="a loss, metric, meter or a mapping"
        )


def _kind(source: Source) -> str:
    return str(getattr(source, "cfg", type(source).__name__))


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path and name else path or name


def _to_host(tensors: list[Tensor]) -> list[Tensor]:
    """Copies on the host, in one transfer for all that are on a device."""
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return [tensor.detach().clone() for tensor in tensors]
    flat = [tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in tensors]
    pieces = torch.split(torch.cat(flat).cpu(), [len(piece) for piece in flat])
    return [piece.clone().view(t.dtype).reshape(t.shape) for piece, t in zip(pieces, tensors, strict=True)]
