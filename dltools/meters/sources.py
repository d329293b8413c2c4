"""``collect``: every number of a run, merged over the ranks in one collective and read on the host at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeGuard, runtime_checkable

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
    unique = {id(source.states): source.states for _, source in sources}
    parts = [(kind, states.stored(name)) for states in unique.values() for name, kind in states.layout.items()]
    local = _to_host([tensor for _, tensor in parts])
    if sync and world(group) > 1:
        schema = "\n".join(f"{path}: {_kind(source)} {source.states.layout}" for path, source in sources)
        kinds = [kind for kind, _ in parts]
        local = flat_reduce(list(zip(kinds, local, strict=True)), group=group, schema=schema, timeout=timeout)
    merged, values = dict[int, States](), iter(local)
    for key, states in unique.items():
        merged[key] = States(states.layout)
        merged[key].load_state_dict({name: next(values) for name in states.layout})
    readings = {
        _join(path, name): reading
        for path, source in sources
        for name, reading in source.read(merged[id(source.states)]).items()
    }
    if reset:
        for _, source in sources:
            getattr(source, "reset", source.states.reset)()
    return Report.of(readings)


def _sources(tree: Any, path: str) -> Iterator[tuple[str, Source]]:
    """The leaves of the tree in the order of their paths, which is the same on every rank."""
    if isinstance(tree, Mapping):
        for name in sorted(tree):
            yield from _sources(tree[name], _join(path, name))
    elif _is_source(tree):
        yield path, tree
    else:
        raise ConfigError(
            f"{path or 'the tree'} is a {type(tree).__name__}", expected="a loss, metric, meter or a mapping"
        )


def _is_source(x: Any) -> TypeGuard[Source]:
    """What ``isinstance`` says of a protocol too, which looks for its names anew at every call."""
    return hasattr(x, "states") and hasattr(x, "read")


def _kind(source: Source) -> str:
    return str(getattr(source, "cfg", type(source).__name__))


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _to_host(tensors: list[Tensor]) -> list[Tensor]:
    """Copies on the host, in one transfer for all that are on a device."""
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return [tensor.detach().clone() for tensor in tensors]
    flat = [tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in tensors]
    pieces = torch.split(torch.cat(flat).cpu(), [len(piece) for piece in flat])
    return [piece.clone().view(t.dtype).reshape(t.shape) for piece, t in zip(pieces, tensors, strict=True)]
