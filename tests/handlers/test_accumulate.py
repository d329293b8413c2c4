"""Accumulated gradients are those of one full batch, whatever the split; counts and windows are checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dltools.errors import ConfigError, ShapeError
from dltools.handlers import Accumulate, AccumulateCfg, ClipNormCfg, StepHandler, StepHandlerCfg
from tests.handlers.models import batch, mlp


def scalar(start: float, lr: float = 1.0, **fields: Any) -> tuple[nn.Parameter, StepHandler]:
    """A handler of one number."""
    net = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(net.weight, start)
    step = StepHandlerCfg(accumulate=AccumulateCfg(**fields)).build(net, torch.optim.SGD(net.parameters(), lr=lr))
    return net.weight, step


def test_the_gradient_of_unequal_micro_batches_is_15() -> None:
    w, step = scalar(1.0, window=2)
    for x in ([1.0, 2.0, 3.0], [4.0]):
        info = step((w * torch.tensor(x, dtype=torch.float64)).square().mean(), count=len(x))
    assert info.updated
    assert info.grad_norm is not None
    assert info.grad_norm.item() == 15.0
    assert w.item() == 1.0 - 15.0
    assert w.grad is None


def test_a_partial_window_is_flushed() -> None:
    w, step = scalar(0.0, window=4)
    updated = [step(w.sum()).updated for _ in range(6)]
    assert updated == [False, False, False, True, False, False]
    assert w.item() == -1.0
    info = step.flush()
    assert info is not None
    assert info.updated
    assert w.item() == -2.0
    assert step.flush() is None
    assert step.num_updates == 2


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    loss=st.sampled_from(["mean", "sum"]),
    as_tensor=st.booleans(),
    window=st.integers(1, 7),
    impl=st.sampled_from(["fused", "loop"]),
)
def test_any_split_equals_the_full_batch(sizes: list[int], loss: Any, as_tensor: bool, window: int, impl: str) -> None:
    net, reference = mlp(), mlp()
    cfg = StepHandlerCfg(accumulate=AccumulateCfg(window=window, loss=loss), clip=ClipNormCfg(max_norm=0.5))
    step = cfg.build(net, torch.optim.SGD(net.parameters(), lr=0.1, fused=impl == "fused"))
    own = torch.optim.SGD(reference.parameters(), lr=0.1)
    x, y = batch(sum(sizes))
    parts = list(zip(torch.split(x, sizes), torch.split(y, sizes), strict=True))
    for k, (inputs, targets) in enumerate(parts):
        errors = (net(inputs) - targets).square()
        step(errors.mean() if loss == "mean" else errors.sum(), torch.tensor(sizes[k]) if as_tensor else sizes[k])
    step.flush()
    for start in range(0, len(sizes), window):
        taken = parts[start : start + window]
        if n := sum(sizes[start : start + window]):
            all_x, all_y = (torch.cat(column) for column in zip(*taken, strict=True))
            own.zero_grad()
            ((reference(all_x) - all_y).square().sum() / n).backward()
            grads = [p.grad for p in reference.parameters() if p.grad is not None]
            norm = torch.cat([g.reshape(-1) for g in grads]).norm()
            for g in grads:
                g.mul_(min(1.0, 0.5 / norm.item()))
            own.step()
    for a, b in zip(net.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("count", [0, torch.tensor(0)], ids=["int", "tensor"])
def test_count_0_adds_exact_zeros_even_if_its_loss_is_nan(count: Any) -> None:
    w, step = scalar(1.0, window=2)
    step((w * torch.zeros(0, dtype=torch.float64)).mean() + w.sum() * float("nan"), count=count)
    info = step(3 * w.sum(), count=2)
    assert info.grad_norm is not None
    assert info.grad_norm.item() == 3.0
    assert w.item() == -2.0


@pytest.mark.parametrize("count", [0, torch.tensor(0)], ids=["int", "tensor"])
@pytest.mark.parametrize("skip", [(), None], ids=["no gate", "gate"])
def test_a_window_of_nothing_is_a_skipped_update(count: Any, skip: Any) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9, weight_decay=0.1)
    step = (StepHandlerCfg() if skip is None else StepHandlerCfg(skip=skip)).build(net, optimizer)
    before = [p.detach().clone() for p in net.parameters()]
    x, y = batch(0)
    info = step((net(x) - y).square().mean(), count=count)
    assert info.updated
    assert info.skipped is not None
    assert info.skipped.item() == 1.0
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(p.grad is None for p in net.parameters())


def test_counts_may_be_numpy_integers() -> None:
    w, step = scalar(0.0)
    step(w.sum(), count=np.int64(3))
    assert w.item() == -1.0


@pytest.mark.parametrize(
    ("count", "message"),
    [(-1, "count is -1"), (2.0, "count is 2.0"), (True, "count is True"), ("3", "count is '3'")]
    + [(torch.tensor(2.0), "float32 tensor"), (torch.tensor([2]), r"shape \[1\]")],
)
def test_an_illegal_count_is_an_error_and_changes_nothing(count: Any, message: str) -> None:
    w, step = scalar(0.0, window=2)
    with pytest.raises(ConfigError, match=message):
        step(w.sum(), count=count)
    assert (step.accumulate.size, w.grad) == (0, None)


@pytest.mark.parametrize(("first", "second"), [(None, 2), (2, None)])
def test_counts_for_a_part_of_a_window_are_an_error(first: Any, second: Any) -> None:
    w, step = scalar(0.0, window=3)
    step(w.sum(), count=first)
    with pytest.raises(ConfigError, match="counts for all micro-batches of a window, or for none"):
        step(w.sum(), count=second)
    step(w.sum(), count=first)
    step(w.sum(), count=first)
    step(w.sum(), count=second)


def test_a_loss_that_is_no_scalar_is_an_error() -> None:
    w, step = scalar(0.0)
    with pytest.raises(ShapeError, match=r"loss has shape \[1, 1\].*loss.mean"):
        step(w * 1.0)
    with pytest.raises(ShapeError, match="loss is a float"):
        step(1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_is_positive(window: int) -> None:
    with pytest.raises(ConfigError, match="window"):
        AccumulateCfg(window=window)


def test_a_window_alone_weighs_and_counts() -> None:
    window = Accumulate(window=3, loss="sum")
    window.add(window.checked(None))
    window.add(window.checked(None))
    assert (window.whole(), window.total, window.weight(None)) == (2, None, 1)
    window.clear()
    window.add(window.checked(torch.tensor(5)))
    window.add(window.checked(2))
    assert (int(window.whole()), window.weight(7)) == (7, 1)


def test_gradients_made_by_the_caller_are_applied() -> None:
    w, step = scalar(0.0, window=3)
    for count, grad in ((None, 2.0), (4, 3.0), (torch.tensor(4), 5.0)):
        w.grad = torch.full_like(w, grad)
        info = step.apply(count)
        assert info.updated
        assert info.loss is None
        assert info.grad_norm is not None
        assert info.grad_norm.item() == grad
    assert w.item() == -10.0
    w.grad = torch.full_like(w, float("nan"))
    skipped = step.apply(count=0).skipped
    assert skipped is not None
    assert skipped.item() == 1.0
    assert w.item() == -10.0
    w.grad = torch.full_like(w, float("nan"))
    step.apply(count=torch.tensor(0))
    assert w.item() == -10.0


def test_caller_made_sums_are_divided_by_their_count() -> None:
    w, step = scalar(0.0, loss="sum")
    w.grad = torch.full_like(w, 8.0)
    step.apply(count=4)
    assert w.item() == -2.0


def test_apply_in_an_open_window_is_an_error() -> None:
    w, step = scalar(0.0, window=3)
    step(w.sum())
    with pytest.raises(ConfigError, match=r"1 micro-batches wait in the open window.*step.flush"):
        step.apply()
