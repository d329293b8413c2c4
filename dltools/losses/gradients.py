"""Several losses, one set of parameters: what to do when their gradients disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from dltools.dist import world
from dltools.errors import ConfigError
from dltools.functional.sums import ratio
from dltools.losses.distutils import Sync, sync_sums


def pcgrad(
    losses: Mapping[str, Tensor],
    params: Iterable[Tensor],
    *,
    sync: Sync = "none",
    generator: torch.Generator | None = None,
) -> None:
    r"""Add to ``grad`` the gradients of losses, each without what others oppose; in the place of ``backward``.

    :math:`g_i \leftarrow g_i - \frac{g_i \cdot g_j}{|g_j|^2} g_j` for all :math:`j` with :math:`g_i \cdot g_j < 0`,
    one after the other; then their sum. The order of the :math:`j` is that of the losses, or drawn by ``generator``, a
    CPU generator that is alike on all ranks.

    Args:
        losses: as ``Combine.losses`` gives them; multiply them by weights if they shall have any.
        params: those that require no gradient are passed over.
        sync: that of the losses; gradients are merged first, in one all_reduce, so DDP must not do it again.

    >>> x = torch.zeros(2, requires_grad=True)
    >>> pcgrad({"a": x[0], "b": x[1] - x[0]}, [x])
    >>> x.grad
    tensor([0.5000, 1.5000])

    Source: Yu et al. 2020, arXiv:2001.06782.
    """
    wanted = [p for p in params if p.requires_grad]
    grads = _gradients(losses, wanted, sync)
    lengths = grads.square().sum(1)
    total = torch.zeros_like(grads[0])
    for i, grad in enumerate(grads):
        order = range(len(grads)) if generator is None else torch.randperm(len(grads), generator=generator).tolist()
        for j in order:
            if j != i:
                grad = grad - ratio((grad @ grads[j]).clamp_max(0), lengths[j]) * grads[j]
        total += grad
    parts = torch.split_with_sizes(total, [p.numel() for p in wanted])
    for p, part in zip(wanted, parts, strict=True):
        part = part.view_as(p).to(p.dtype)
        p.grad = part.clone() if p.grad is None else p.grad + part


def gradnorm(
    losses: Mapping[str, Tensor],
    weights: Tensor,
    first: Tensor,
    params: Iterable[Tensor],
    *,
    alpha: float = 1.5,
    sync: Sync = "none",
) -> Tensor:
    r"""The loss of the weights, :math:`\sum_k |w_k n_k - \overline{w n} r_k^\alpha|`, that equals rates of training.

    :math:`n_k` is the norm of the gradient of loss :math:`k`, and :math:`r_k` its ratio to its first value, by the
    mean of these ratios. It has a gradient by ``weights`` alone. After each step divide the weights by their mean.

    Args:
        losses: as ``Combine.losses`` gives them; their graph is kept, so that ``backward`` may follow.
        weights: (K,), in the order of the losses.
        first: the losses of the first step, (K,).
        params: those that all losses share, such as the last layer of a backbone.
        alpha: how strongly slow losses are pulled; 0 makes all norms equal.
        sync: that of the losses; gradients are merged first, in one all_reduce.

    >>> x, weights = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
    >>> losses = {"a": 3 * x[0] + 1, "b": x[1] + 1}
    >>> gradnorm(losses, weights, torch.ones(2), [x]).backward()
    >>> weights.grad
    tensor([ 3., -1.])

    Source: Chen et al. 2018, arXiv:1711.02257.
    """
    if weights.shape != first.shape or weights.shape != (len(losses),):
        raise ConfigError(
            f"weights {tuple(weights.shape)} and first {tuple(first.shape)} for {len(losses)} losses",
            expected=f"({len(losses)},)",
        )
    grads = _gradients(losses, [p for p in params if p.requires_grad], sync)
    rates = ratio(torch.stack([loss.detach() for loss in losses.values()]), first)
    sizes = weights * torch.linalg.vector_norm(grads, dim=1).to(weights)
    goal = sizes.detach().mean() * ratio(rates, rates.mean()).to(weights).pow(alpha)
    return torch.sum((sizes - goal).abs())


def _gradients(losses: Mapping[str, Tensor], params: Sequence[Tensor], sync: Sync) -> Tensor:
    """One row for each loss, over all parameters; of all ranks if ``sync`` says how they merge."""
    if not losses or not params:
        raise ConfigError(f"{len(losses)} losses, {len(params)} parameters that require a gradient", expected="some")
    rows = []
    for loss in losses.values():
        grads = torch.autograd.grad(loss, params, retain_graph=True, materialize_grads=True, allow_unused=True)
        rows.append(torch.cat([grad.reshape(-1) for grad in grads]))
    merged = sync_sums({"grads": torch.stack(rows)}, sync)["grads"]
    return merged / world() if sync == "mean" else merged
