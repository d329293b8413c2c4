"""Losses over ranks: what is added up is not the loss but the sums it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor

from dltools.dist import Group, world

Sums = dict[str, Tensor]
Sync = Literal["none", "mean", "sum"]


def sync_sums(sums: Sums, sync: Sync, group: Group = None) -> Sums:
    """The sums of all ranks, in one all_reduce; every rank must call it.

    A loss of global sums is the loss of the whole batch, however unevenly its pixels are spread, which no mean of
    losses is. Each rank has the gradient of its own share: they merge by a sum, and where DDP takes their mean,
    ``sync="mean"`` scales them by the world size. So the backward needs no collective.
    """
    ranks = world(group)
    if sync == "none" or ranks == 1:
        return sums
    flat = torch.cat([x.double().reshape(-1) for x in sums.values()])
    apply = cast(Callable[..., Tensor], _AllReduce.apply)
    merged = apply(flat, float(ranks if sync == "mean" else 1), group)
    parts = merged.split_with_sizes([x.numel() for x in sums.values()])
    return {k: part.view_as(x).to(x.dtype) for (k, x), part in zip(sums.items(), parts, strict=True)}


def own_share(parameter: Tensor, sync: Sync, group: Group = None) -> Tensor:
    """A parameter that meets the sums of all ranks on each of them, so that its gradients merge to that of one.

    Their mean does; where they are added up, each rank gives its part.
    """
    ranks = world(group) if sync == "sum" else 1
    return parameter if ranks == 1 else parameter.detach() + (parameter - parameter.detach()) / ranks


class _AllReduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float, group: Group) -> Tensor:
        ctx.factor = factor
        out = x.clone()
        dist.all_reduce(out, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0] * ctx.factor, None, None
