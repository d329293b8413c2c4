"""Ema against its recursion written out; swapping and states to the bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dltools.cfgutils import build
from dltools.errors import ConfigError
from dltools.handlers import EmaCfg, StepHandlerCfg, SwaCfg
from dltools.handlers.foreach import lerp_each, lerp_jointly
from tests.handlers.models import batch, mlp
from tests.hostreads import count_host_reads


def change(net: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for param in net.parameters():
            param.add_(torch.randn(param.shape, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("warmup", ["none", "ramp"])
@pytest.mark.parametrize("every", [1, 3])
def test_the_recursion(warmup: Any, every: int) -> None:
    net = mlp()
    expected = [param.detach().clone() for param in net.parameters()]
    ema = EmaCfg(decay=0.7, warmup=warmup, every=every).build(net)
    n = 0
    for k in range(1, 31):
        change(net, k)
        ema.update()
        if k % every == 0:
            d = min(0.7, (1 + n) / (10 + n)) if warmup == "ramp" else 0.7
            expected = [d * old + (1 - d) * new for old, new in zip(expected, net.parameters(), strict=True)]
            n += 1
    assert ema.num_updates == 30
    for a, b in zip(ema.module.parameters(), expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-13, atol=1e-13)


class Stateful(nn.Module):
    """Buffers of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.tied = self.norm
        self.register_buffer("cache", torch.zeros(1), persistent=False)
        self.register_parameter("absent", None)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(x)
        return result


@pytest.mark.parametrize(("buffers", "mean"), [("copy", 8.0), ("average", 4.0)])
def test_buffers_are_copied_or_averaged_and_integers_always_copied(buffers: Any, mean: float) -> None:
    net: Any = Stateful()
    ema = EmaCfg(decay=0.5, buffers=buffers).build(net)
    net.norm.running_mean.fill_(8.0)
    net.norm.num_batches_tracked += 7
    net.cache = torch.full((1,), 3.0)  # replaced, not filled
    ema.update()
    module: Any = ema.module
    assert module.norm.running_mean.tolist() == [mean, mean]
    assert module.norm.num_batches_tracked.item() == 7
    assert module.cache.item() == (3.0 if buffers == "copy" else 1.5)
    assert set(ema.state_dict()["tensors"]) == {
        f"norm.{key}" for key in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


@pytest.mark.parametrize("skipped", [True, torch.tensor(1.0)], ids=["host", "device"])
@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_a_skipped_update_is_not_averaged_even_if_it_left_nan_in_buffers(skipped: Any, buffers: Any) -> None:
    net: Any = Stateful()
    ema = EmaCfg(decay=0.5, buffers=buffers).build(net)
    before = copy.deepcopy(ema.module.state_dict())
    net.norm.running_mean.fill_(float("nan"))
    net.norm.num_batches_tracked += 1
    with torch.no_grad():
        net.norm.weight.fill_(7.0)
    with count_host_reads() as reads:
        ema.update(skipped)
    assert reads.count == 0
    assert all(torch.equal(x, before[name]) for name, x in ema.module.state_dict().items())
    with torch.no_grad():
        net.norm.weight.fill_(3.0)
    ema.update(torch.tensor(0.0) if isinstance(skipped, Tensor) else False)
    assert ema.module.norm.weight.tolist() == [2.0, 2.0]  # type: ignore[union-attr,operator]


@pytest.mark.parametrize("kernel", [lerp_each, lerp_jointly])
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_share_on_the_device(kernel: Any, share: float) -> None:
    old, new = [torch.tensor([1.0, 2.0]), torch.tensor([[4.0]])], [torch.tensor([5.0, 2.0]), torch.tensor([[-4.0]])]
    kernel(old, new, torch.tensor(share))
    assert [x.tolist() for x in old] == [[1.0 + 4 * share, 2.0], [[4.0 - 8 * share]]]


def test_an_update_reads_nothing_on_the_host_and_keeps_no_graph() -> None:
    net = mlp()
    ema = EmaCfg(decay=0.9).build(net)
    with count_host_reads() as reads:
        ema.update()
    assert reads.count == 0
    assert all(not param.requires_grad and param.grad_fn is None for param in ema.module.parameters())
    assert not ema.module.training
    assert net.training


def test_swapped_gives_the_average_and_takes_it_back_to_the_bit() -> None:
    net = mlp()
    ema = EmaCfg(decay=0.5).build(net)
    change(net, 1)
    ema.update()
    own = [param.detach().clone() for param in net.parameters()]
    x, _ = batch(3)
    averaged = ema.module(x)
    with ema.swapped() as swapped:
        assert swapped is net
        assert torch.equal(net(x), averaged)
    assert all(torch.equal(a, b) for a, b in zip(own, net.parameters(), strict=True))
    assert torch.equal(ema.module(x), averaged)


def test_swapped_takes_the_weights_back_after_an_error() -> None:
    net = mlp()
    ema = EmaCfg(decay=0.5).build(net)
    change(net, 1)
    own = [param.detach().clone() for param in net.parameters()]

    def evaluate() -> None:
        with ema.swapped():
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        evaluate()
    assert all(torch.equal(a, b) for a, b in zip(own, net.parameters(), strict=True))


def test_an_average_of_half_precision_may_be_kept_in_float32() -> None:
    net = mlp(torch.bfloat16)
    ema = EmaCfg(decay=0.999, dtype="float32", device="cpu").build(net)
    start = [param.detach().float().clone() for param in net.parameters()]
    with torch.no_grad():
        for param in net.parameters():
            param.add_(1.0)
    now = [param.detach().float() for param in net.parameters()]
    for _ in range(2):
        ema.update()
    for average, a, b in zip(ema.module.parameters(), start, now, strict=True):
        assert average.dtype == torch.float32
        assert torch.allclose(average, b + 0.999**2 * (a - b), rtol=1e-6, atol=1e-6)
    with ema.swapped():
        assert next(net.parameters()).dtype == torch.bfloat16


def test_the_average_survives_a_move_of_the_model() -> None:
    net = mlp()
    ema = EmaCfg(decay=0.5).build(net)
    net.float()
    ema.module.float()
    before = ema.module[0].bias.clone()  # type: ignore[index]
    with torch.no_grad():
        net[0].bias += 2.0
    ema.update()
    assert torch.allclose(ema.module[0].bias, before + 1.0)  # type: ignore[index]


def test_names_are_clean_of_wrappers_and_a_state_loads_into_a_bare_model() -> None:
    net = mlp()
    wrapped: Any = torch.compile(nn.DataParallel(net), backend="eager")
    ema = EmaCfg(decay=0.5).build(wrapped)
    change(net, 1)
    ema.update()
    state = ema.state_dict()
    assert set(state["tensors"]) == set(net.state_dict())
    other = EmaCfg(decay=0.5).build(mlp(seed=5))
    other.load_state_dict(copy.deepcopy(state))
    assert other.num_updates == 1
    for ours, theirs in zip(ema.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_foreign_state_is_an_error() -> None:
    ema = EmaCfg().build(mlp())
    state = ema.state_dict()
    tensors = dict(state["tensors"])
    tensors["0.wight"] = tensors.pop("0.weight")
    with pytest.raises(ConfigError, match=r"'0.weight'|did you mean '0.weight'"):
        ema.load_state_dict({**state, "tensors": tensors})


def test_batch_norm_of_the_average_is_estimated_anew() -> None:
    net = nn.Sequential(nn.BatchNorm1d(2))
    ema = EmaCfg().build(net)
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    ema.update_bn([x, x + 2])
    module: Any = ema.module
    assert module[0].running_mean.tolist() == [3.0, 5.0]
    assert not module.training


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_is_a_share(decay: float) -> None:
    with pytest.raises(ConfigError, match="decay"):
        EmaCfg(decay=decay)


@pytest.mark.parametrize("fused", [True, False])
def test_the_handler_averages_made_updates_only(fused: bool) -> None:
    net = mlp(torch.float32)
    opt = torch.optim.SGD(net.parameters(), lr=0.1, fused=fused)
    step = StepHandlerCfg(average=EmaCfg(decay=0.5)).build(net, opt)
    assert step.average is not None
    expected = [param.detach().clone() for param in net.parameters()]
    x, y = batch(4, torch.float32)
    for poison in (1.0, float("nan"), 1.0):
        step((net(x) - y).square().mean() * poison)
        if poison == 1.0:
            expected = [(old + new) / 2 for old, new in zip(expected, net.parameters(), strict=True)]
    for a, b in zip(step.average.module.parameters(), expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("start", "every"), [(0, 1), (3, 1), (0, 2), (5, 2), (4, 3)])
def test_swa_is_the_mean_of_the_weights_after_its_start(start: int, every: int) -> None:
    model = nn.Linear(1, 1, bias=False)
    swa = build(SwaCfg(start_step=start, every=every), model)
    for update in range(1, 20):
        nn.init.constant_(model.weight, float(update**2))
        swa.update()
        looked = range(every, update + 1, every)
        counted = [u for u in looked if u > start] or list(looked[-1:])
        if counted:
            mean = sum(u**2 for u in counted) / len(counted)
            assert swa.module.get_parameter("weight").item() == pytest.approx(mean, rel=1e-5)


def test_swa_is_torch_s() -> None:
    model = nn.Linear(3, 2).double()
    ours, theirs = build(SwaCfg(), model), AveragedModel(model)
    for _ in range(5):
        with torch.no_grad():
            for param in model.parameters():
                param.add_(torch.randn_like(param))
        ours.update()
        theirs.update_parameters(model)
    for mine, real in zip(ours.module.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(mine, real, rtol=1e-12, atol=1e-14)
