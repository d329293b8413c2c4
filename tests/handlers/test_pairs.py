"""Averages of small parameters in one tensor: the same recursion, wherever the average or the model has gone."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dltools.handlers import EmaCfg
from dltools.handlers.foreach import lerp_jointly, spans
from dltools.handlers.pairs import SMALL, Packed, Pairs


class Mixed(nn.Module):
    """Small and large tensors, tied ones, of two dtypes, complex, channels last, and those of an RNN."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.back = nn.Embedding(40, 30), nn.Linear(30, 40)
        self.back.weight = self.table.weight
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.norm, self.rnn = nn.BatchNorm2d(4), nn.LSTM(2, 3)
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.phase = nn.Parameter(torch.tensor([1 + 2j, 3 - 1j]))
        self.empty = nn.Parameter(torch.zeros(0))
        self.fixed = nn.Parameter(torch.tensor([1.5]), requires_grad=False)
        self.count = nn.Parameter(torch.tensor([3]), requires_grad=False)


def change(model: nn.Module) -> None:
    with torch.no_grad():
        for param in model.parameters():
            param.add_(torch.randn_like(param) if param.is_floating_point() or param.is_complex() else 1)


def values(model: nn.Module) -> list[Tensor]:
    return [param.detach().clone() for param in model.parameters()]


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.allclose(a, b.to(a), rtol=1e-6, atol=1e-6) for a, b in zip(found, expected, strict=True))


def followed(model: Any, ema: Any, updates: int = 3) -> list[Tensor]:
    """The average after some updates, by hand."""
    means = values(ema.module)
    for k in range(updates):
        change(model)
        skipped = torch.tensor(float(k == 1))
        ema.update(skipped if k else False)
        if k != 1:
            means = [
                0.5 * mean + 0.5 * now.to(mean) if mean.is_floating_point() or mean.is_complex() else now
                for mean, now in zip(means, values(model), strict=True)
            ]
    return means


def test_it_is_the_recursion() -> None:
    model = Mixed()
    ema: Any = EmaCfg(decay=0.5).build(model)
    assert same(values(ema.module), values(model))
    assert same(followed(model, ema), values(ema.module))
    assert ema.module.back.weight is ema.module.table.weight
    assert ema.module.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert model.table.weight.numel() > SMALL > model.conv.weight.numel()


def assigned(model: Any, ema: Any) -> None:
    ema.module.load_state_dict({k: x.clone() for k, x in ema.module.state_dict().items()}, assign=True)


def halved(model: Any, ema: Any) -> None:
    ema.module.norm.double()  # some of what was packed together, and some not


def replaced(model: Any, ema: Any) -> None:
    model.norm.weight = nn.Parameter(torch.full((4,), 7.0))


def moved(model: Any, ema: Any) -> None:
    model.to(torch.bfloat16).to(torch.float32)
    ema.module.float().double()


@pytest.mark.parametrize("event", [assigned, halved, replaced, moved], ids=lambda event: event.__name__)
def test_it_follows_what_moves_or_is_replaced(event: Callable[..., None]) -> None:
    model = Mixed()
    if event is moved:
        del model.phase
    if event is assigned:  # which would untie them
        model.back.weight = nn.Parameter(torch.randn(40, 30))
    ema: Any = EmaCfg(decay=0.5).build(model)
    followed(model, ema)
    event(model, ema)
    assert same(followed(model, ema), values(ema.module))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_another_dtype_of_the_average(dtype: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 400))
    ema = EmaCfg(decay=0.5, dtype=dtype).build(model)
    expected, found = followed(model, ema), values(ema.module)
    tolerance = 1e-6 if dtype == "float64" else 0.03
    assert {x.dtype for x in found} == {getattr(torch, dtype)}
    assert all(torch.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in zip(found, expected, strict=True))


def test_a_copy_moves_apart() -> None:
    model = Mixed()
    ema: Any = EmaCfg(decay=0.5).build(model)
    twin, module = copy.deepcopy(ema), copy.deepcopy(ema.module)
    before = values(ema.module)
    expected = followed(model, ema)
    assert same(values(ema.module), expected)
    assert same(values(module), before)
    assert same(values(twin.module), before)
    followed(twin._model, twin)
    assert same(values(ema.module), expected)


def test_its_state_goes_through_a_file() -> None:
    model, file = Mixed(), io.BytesIO()
    ema: Any = EmaCfg(decay=0.5).build(model)
    followed(model, ema)
    torch.save(ema.state_dict(), file)
    file.seek(0)
    other: Any = EmaCfg(decay=0.5).build(Mixed())
    other.load_state_dict(torch.load(file, weights_only=True))
    assert same(values(other.module), values(ema.module))
    assert same(followed(model, ema), values(ema.module))


def test_parts_of_a_long_list() -> None:
    sizes = [3, 1, 4, 1, 5, 9, 2, 6]
    tensors = [torch.zeros(n) for n in sizes]
    parts = [sizes[part] for part in spans(tensors, 7)]
    assert [n for part in parts for n in part] == sizes
    assert all(sum(part) <= 7 or len(part) == 1 for part in parts)
    assert list(spans([], 7)) == []
    new = [torch.full((n,), 4.0) for n in sizes]
    for part in spans(tensors, 7):
        lerp_jointly(tensors[part], new[part], torch.tensor(0.25))
    assert all(x.eq(1.0).all() for x in tensors)


def test_torch_s_function_that_joins_tensors_is_that_of_2_13() -> None:
    assert torch.__version__.startswith("2.13"), "look whether it is still there, then raise this version"
    joined: Any = torch._utils._flatten_dense_tensors  # type: ignore[attr-defined]
    assert torch.equal(joined([torch.ones(2, 2), torch.zeros(())]), torch.tensor([1.0, 1, 1, 1, 0]))


def test_what_is_packed() -> None:
    model = Mixed()
    names = ["table", "back", "norm", "rnn"]
    found = {name: [Packed.takes(m, p) for p in m.parameters()] for name, m in model.named_children() if name in names}
    assert found == {"table": [False], "back": [False, True], "norm": [True, True], "rnn": [False] * 4}
    pairs = Pairs()
    pairs.add(model._parameters, copy.deepcopy(model)._parameters, "scale")
    Packed(pairs).lerp_(0.5)
    assert [x.dtype for x in pairs.owns()] == [torch.float64]
