"""Penalties on the slope of a discriminator, which keep it smooth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dltools.errors import ShapeError


def r1_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    r"""Mean squared norm of the slope at what is real, :math:`E |\nabla_x D(x)|^2`; the paper takes it gamma / 2 times.

    ``critic`` gives scores (N, ...) to ``real`` (N, ...), each by its own sample alone. Attached to the graph of the
    critic's parameters; float32 or better.

    >>> r1_penalty(lambda x: x.square().sum(1), torch.tensor([[3.0, 4.0]])).item()
    100.0

    Source: Mescheder et al. 2018, arXiv:1801.04406.
    """
    return _mean(_slope(critic, real).square().sum(1))


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, share: Tensor | None = None
) -> Tensor:
    r"""How far the slope between fake and real is from 1, :math:`E (|\nabla_x D(x)| - 1)^2`.

    The paper takes it 10 times. ``critic`` gives scores (N, ...) to samples (N, ...), each by its own sample alone.
    ``share``, (N,), says how much of each point is real; drawn with ``torch.rand`` if it is not given. Attached to the
    graph of the critic's parameters; float32 or better. Raises a ShapeError unless ``real`` and ``fake`` have one
    shape.

    >>> at = torch.tensor([0.5])
    >>> gradient_penalty(lambda x: x.square().sum(1), torch.tensor([[6.0, 8.0]]), torch.zeros(1, 2), share=at).item()
    81.0

    Source: Gulrajani et al. 2017, arXiv:1704.00028.
    """
    if real.shape != fake.shape:
        given = f"real {tuple(real.shape)}, fake {tuple(fake.shape)}"
        raise ShapeError(given, expected="equal shapes (N, ...)", hint="as many fakes as reals: real[:len(fake)]")
    if share is None:
        share = torch.rand(len(real), device=real.device)
    if share.shape != real.shape[:1]:
        raise ShapeError(f"share {tuple(share.shape)}", expected=f"a number for each of {len(real)} samples")
    share = share.to(real.dtype).view(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(fake.detach().to(real.dtype), real.detach(), share)
    length: Tensor = torch.linalg.vector_norm(_slope(critic, between), dim=1)
    return _mean((length - 1).square())


def _slope(critic: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Of the scores by the samples, a row each."""
    x = at.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return slope.flatten(1).to(torch.promote_types(slope.dtype, torch.float32))


def _mean(x: Tensor) -> Tensor:
    """Of samples (N,); 0 of none."""
    return x.sum() / max(len(x), 1)
