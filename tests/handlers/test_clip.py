"""Clipping by the norm: min(1, max/norm) and nothing in it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.handlers import (
    AccumulateCfg,
    AGCCfg,
    Clip,
    ClipCfg,
    ClipNorm,
    ClipNormCfg,
    ClipValueCfg,
    Gradients,
    StepHandlerCfg,
)


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


class SignClipCfg(ClipCfg["SignClip"]):
    size: float = 0.5


class SignClip(Clip[SignClipCfg]):
    """A clip of one's own, by element."""

    def __call__(self, gradients: Gradients) -> Tensor:
        gradients.settle()
        for grad in gradients.tensors:
            grad.clamp_(-self.cfg.size, self.cfg.size)
        return torch.ones(())


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clip", [SignClipCfg(), ClipValueCfg(max_value=0.5)], ids=lambda cfg: cfg.tag)
def test_a_clip_by_element_fits_in(fused: bool, clip: Any) -> None:
    net = nn.Linear(2, 1, bias=False)
    nn.init.constant_(net.weight, 0.0)
    cfg = StepHandlerCfg(clip=clip, accumulate=AccumulateCfg(window=2))
    step = cfg.build(net, torch.optim.SGD(net.parameters(), lr=1.0, fused=fused))
    info: Any = None
    for _ in range(2):
        info = step(net(torch.tensor([[0.25, 4.0]])).sum())
    assert net.weight.tolist() == [[-0.25, -0.5]]
    assert info.grad_norm.item() == pytest.approx(math.hypot(0.25, 4.0))


def test_the_share_that_clipping_by_value_leaves() -> None:
    params = holding(torch.tensor([6.0, -8.0], dtype=torch.float64), torch.tensor([1 - 9j], dtype=torch.complex128))
    share = build(ClipValueCfg(max_value=2.0))(Gradients(params, divisor=2.0))
    assert [p.grad.tolist() for p in params if p.grad is not None] == [[2.0, -2.0], [0.5 - 2j]]
    assert share.item() == pytest.approx(math.sqrt(8 + 4.25) / math.sqrt(9 + 16 + 0.25 + 20.25))
    assert build(ClipValueCfg(max_value=2.0))(Gradients([])).item() == 1.0


def test_agc_by_unit() -> None:
    """By loops over the units, as in the paper: rows of matrices and filters, whole vectors."""
    torch.manual_seed(0)
    shapes = [(4, 3), (4, 2, 3, 3), (5,), (1, 6), (3, 2)]
    params = [nn.Parameter(torch.randn(shape, dtype=torch.float64) * 0.3) for shape in shapes]
    with torch.no_grad():
        params[0][1] = 0.0
    params[4] = nn.Parameter(torch.randn(3, 2, dtype=torch.complex128))
    for param in params:
        param.grad = torch.randn_like(param)
    ratio, eps, expected = 0.4, 0.01, []
    for param in params:
        units = list(param.detach()) if param.squeeze().ndim > 1 else [param.detach()]
        assert param.grad is not None
        grads = list(param.grad) if param.squeeze().ndim > 1 else [param.grad]
        made = []
        for unit, grad in zip(units, grads, strict=True):
            bound = ratio * max(float(unit.norm()), eps)
            made.append(grad / 2 * min(1.0, bound / float(grad.norm() / 2)))
        expected.append(torch.stack(made).view_as(param))
    before = math.sqrt(sum(float((p.grad / 2).abs().square().sum()) for p in params if p.grad is not None))
    share = build(AGCCfg(ratio=ratio, eps=eps))(Gradients(params, divisor=2.0))
    for param, want in zip(params, expected, strict=True):
        torch.testing.assert_close(param.grad, want, rtol=1e-12, atol=0)
    after = math.sqrt(sum(float(x.abs().square().sum()) for x in expected))
    assert share.item() == pytest.approx(after / before, rel=1e-12)


def test_a_column_has_a_unit_per_row_and_a_gain_of_any_rank_is_one() -> None:
    column, gain = (nn.Parameter(torch.tensor([0.6, 0.8]).double().view(shape)) for shape in ((2, 1), (2, 1, 1)))
    for param in (column, gain):
        param.grad = torch.tensor([3.0, 4.0], dtype=torch.float64).view(param.shape)
    build(AGCCfg(ratio=0.5))(Gradients([column, gain]))
    assert column.grad is not None
    assert gain.grad is not None
    assert column.grad.flatten().tolist() == pytest.approx([0.3, 0.4])  # 0.5 x 0.6, 0.5 x 0.8
    assert gain.grad.flatten().tolist() == pytest.approx([0.3, 0.4])  # 5 shortened to 0.5 x 1
    gain.grad = torch.tensor([3.0, 0.0], dtype=torch.float64).view(gain.shape)
    column.grad = torch.tensor([3.0, 0.0], dtype=torch.float64).view(column.shape)
    build(AGCCfg(ratio=0.5))(Gradients([column, gain]))
    assert (column.grad.sum().item(), gain.grad.sum().item()) == (pytest.approx(0.3), pytest.approx(0.5))


def test_agc_refuses_sparse_gradients() -> None:
    table = nn.Embedding(4, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ConfigError, match=r"AGC got a sparse gradient.*ClipNorm"):
        build(AGCCfg())(Gradients([table.weight]))
