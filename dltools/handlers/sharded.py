"""Tensors that are split over ranks (DTensor, as FSDP2 and tensor parallelism make them): own parts, and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
import torch.distributed as c10d
from torch import Tensor

Split: TypeAlias = tuple[tuple[int, Any], ...]
"""Dimensions along which a tensor is split, and the process groups over which; empty for one that is whole."""


def is_sharded(x: Tensor) -> bool:
    """Whether it is a DTensor, which knows of parts on other ranks."""
    return hasattr(x, "full_tensor")


def own_part(x: Any) -> tuple[Tensor, Split]:
    """The part that this rank holds, to be changed in place, and how the whole is split.

    >>> own_part(torch.ones(2))
    (tensor([1., 1.]), ())
    """
    if not is_sharded(x):
        return x, ()
    with torch.no_grad():
        part: Tensor = x.to_local()
    places = enumerate(x.placements)
    return part, tuple((place.dim, x.device_mesh.get_group(i)) for i, place in places if hasattr(place, "dim"))


def settle_parts(param: Any) -> None:
    """Add up a gradient whose parts on the ranks still wait for that, and split it as its parameter is."""
    if any(place.is_partial() for place in param.grad.placements):
        param.grad = param.grad.redistribute(placements=param.placements)


def whole(x: Any) -> Tensor:
    """The tensor with the parts of all ranks, all of which call it."""
    found: Tensor = x.full_tensor() if is_sharded(x) else x
    return found


def split_like(x: Tensor, param: Any) -> Tensor:
    """A whole tensor, alike on all ranks, placed and split as a parameter is; a copy.

    >>> split_like(torch.ones(2), torch.zeros(2, dtype=torch.float64))
    tensor([1., 1.], dtype=torch.float64)
    """
    if not is_sharded(param):
        return x.to(param, copy=True)
    from torch.distributed.tensor import distribute_tensor

    here = x.to(param.device, param.dtype)
    return distribute_tensor(here, param.device_mesh, param.placements, src_data_rank=None)


def norms_of_wholes(of_parts: Sequence[Tensor], groups: Sequence[tuple[Any, ...]], norm_type: float) -> list[Tensor]:
    """Norms of parts made those of whole tensors, each over its process groups: one collective for all that share one.

    >>> norms_of_wholes([torch.ones(()), torch.zeros(2)], [(), ()], 2.0)
    [tensor(1.), tensor([0., 0.])]
    """
    found = list(of_parts)
    for over in dict.fromkeys(one for one in groups if one):
        where = [i for i, one in enumerate(groups) if one == over]
        flat = torch.cat([found[i].reshape(-1) for i in where])
        for group in over:
            flat = _together(flat, group, norm_type)
        sizes = [found[i].numel() for i in where]
        for i, norm in zip(where, torch.split(flat, sizes), strict=True):
            found[i] = norm.view_as(found[i])
    return found


def _together(flat: Tensor, group: Any, norm_type: float) -> Tensor:
    if math.isinf(norm_type):
        largest = flat.nan_to_num(math.inf, math.inf)  # the largest of a number and NaN may be the number
        c10d.all_reduce(largest, c10d.ReduceOp.MAX, group=group)
        return largest
    powers = flat.double().pow_(norm_type)  # of float32 they could leave its range
    c10d.all_reduce(powers, group=group)
    return powers.pow_(1.0 / norm_type).to(flat.dtype)
