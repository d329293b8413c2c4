"""Clipping by the norm: min(1, max/norm) and nothing in it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dltools.errors import ConfigError
from dltools.handlers import AccumulateCfg, Clip, ClipCfg, ClipNorm, ClipNormCfg, Gradients, StepHandlerCfg


def holding(*grads: Tensor) -> list[nn.Parameter]:
    params = []
    for grad in grads:
        param = nn.Parameter(torch.zeros(grad.shape, dtype=grad.dtype))
        param.grad = grad
        params.append(param)
    return params


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
def test_norms_of_any_order(p: float) -> None:
    a, b = torch.tensor([3.0, -4.0], dtype=torch.float64), torch.tensor([[12.0]], dtype=torch.float64)
    norm = 12.0 if math.isinf(p) else (3**p + 4**p + 12**p) ** (1 / p)
    gradients = Gradients(holding(a, b), divisor=2.0)
    assert gradients.norm(p).item() == pytest.approx(norm / 2, rel=1e-15)
    assert ClipNorm(max_norm=1.0, norm_type=p)(gradients).item() == pytest.approx(2 / norm, rel=1e-15)
    assert ClipNorm(max_norm=1e9, norm_type=p)(gradients).item() == 1.0


def test_a_gradient_of_exactly_the_bound_or_of_nothing_is_left_alone() -> None:
    assert ClipNorm(max_norm=5.0)(Gradients(holding(torch.tensor([3.0, 4.0])))).item() == 1.0
    assert ClipNorm(max_norm=5.0)(Gradients(holding(torch.zeros(2)))).item() == 1.0
    assert ClipNorm(max_norm=5.0)(Gradients([])).item() == 1.0


def test_norms_of_half_precision_are_taken_in_float32() -> None:
    grads = torch.full((4096,), 0.01, dtype=torch.bfloat16)
    norm = Gradients(holding(grads)).norm()
    assert norm.dtype == torch.float32
    assert norm.item() == pytest.approx(64 * grads[0].item(), rel=1e-6)


def test_mixed_dtypes_sparse_and_complex_gradients() -> None:
    sparse = torch.sparse_coo_tensor(
        torch.tensor([[1, 1, 3]]), torch.tensor([1.0, 2.0, 4.0]), (5,), check_invariants=True
    )
    params = holding(torch.tensor([2.0], dtype=torch.float64), sparse, torch.tensor([1 + 2j]))
    gradients = Gradients(params, divisor=torch.tensor(2.0))
    assert gradients.norm().item() == pytest.approx(math.sqrt(4 + 9 + 16 + 5) / 2)
    gradients.settle()
    grads = [param.grad for param in params]
    assert grads[0] is not None
    assert grads[0].item() == 1.0
    assert grads[1] is not None
    assert grads[1].to_dense().tolist() == [0.0, 1.5, 0.0, 2.0, 0.0]
    assert grads[2] is not None
    assert grads[2].item() == 0.5 + 1j


def test_sparse_embeddings_are_updated() -> None:
    table = nn.Embedding(4, 1, sparse=True)
    nn.init.constant_(table.weight, 0.0)
    cfg = StepHandlerCfg(clip=ClipNormCfg(max_norm=1.0), accumulate=AccumulateCfg(window=2))
    step = cfg.build(table, torch.optim.SGD(table.parameters(), lr=1.0))
    for index in (1, 3):
        step(8 * table(torch.tensor([index])).sum())
    assert table.weight.flatten().tolist() == pytest.approx([0, -math.sqrt(0.5), 0, -math.sqrt(0.5)])


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_bounds_are_positive(bad: float) -> None:
    with pytest.raises(ConfigError, match="max_norm"):
        ClipNormCfg(max_norm=bad)
    with pytest.raises(ConfigError, match="norm_type"):
        ClipNormCfg(max_norm=1.0, norm_type=bad)


class ValueClipCfg(ClipCfg["ValueClip"]):
    max_value: float = 0.5


class ValueClip(Clip[ValueClipCfg]):
    """A clip of one's own, by element."""

    def __call__(self, gradients: Gradients) -> Tensor:
        gradients.settle()
        for grad in gradients.tensors:
            grad.clamp_(-self.cfg.max_value, self.cfg.max_value)
        return torch.ones(())


@pytest.mark.parametrize("fused", [False, True])
def test_a_clip_by_element_fits_in(fused: bool) -> None:
    net = nn.Linear(2, 1, bias=False)
    nn.init.constant_(net.weight, 0.0)
    cfg = StepHandlerCfg(clip=ValueClipCfg(), accumulate=AccumulateCfg(window=2))
    step = cfg.build(net, torch.optim.SGD(net.parameters(), lr=1.0, fused=fused))
    info: Any = None
    for _ in range(2):
        info = step(net(torch.tensor([[0.25, 4.0]])).sum())
    assert net.weight.tolist() == [[-0.25, -0.5]]
    assert info.grad_norm.item() == pytest.approx(math.hypot(0.25, 4.0))
