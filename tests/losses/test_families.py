"""What holds for the losses of boxes, elements, key points, features, scores and images, whatever they compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as c10d
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from dltools import losses
from dltools.cfgutils import Config
from dltools.losses import (
    BoxLossCfg,
    DFLossCfg,
    ElementLossCfg,
    FeatureLossCfg,
    GANLossCfg,
    L1LossCfg,
    LossCfg,
    MSELossCfg,
    MSSSIMLossCfg,
    OKSLossCfg,
    PoissonNLLLossCfg,
    SSIMLossCfg,
    TVLossCfg,
    View,
)
from tests.distributed.spawn import run_ranks
from tests.losses.scenes import Scene, scene
from tests.strategies import example, subclasses

for name in losses.__all__:
    getattr(losses, name)
FAMILIES = (
    BoxLossCfg,
    DFLossCfg,
    ElementLossCfg,
    FeatureLossCfg,
    GANLossCfg,
    OKSLossCfg,
    SSIMLossCfg,
    MSSSIMLossCfg,
    TVLossCfg,
)
CONFIGS: list[type[Config[Any]]] = sorted(
    {cls for cls in subclasses(LossCfg) if issubclass(cls, FAMILIES) and cls.tag and cls.__module__[:7] == "dltools"},
    key=lambda cls: cls.__name__,
)
every = pytest.mark.parametrize("cls", CONFIGS, ids=lambda cls: cls.__name__)


def each(change: Any, tree: Any) -> Any:
    return tree_map_only(Tensor, change, tree)


def build(cls: type[Config[Any]], **fields: Any) -> Any:
    if cls is MSSSIMLossCfg:
        fields = {"weights": (0.4, 0.6), "window": 3} | fields  # the rest of its five scales is more of the same
    return example(cls).replace(**fields).build()  # type: ignore[attr-defined]


def seen(cls: type[Config[Any]], dtype: torch.dtype = torch.float64) -> Scene:
    found = scene(cls, "multiclass", dtype)
    if cls is not MSSSIMLossCfg:
        return found
    return Scene(*(x[..., :12] for x in (found.pred, found.target, found.mask)), pixels=False)


def slopes(loss: Any, pred: Any, target: Any, **extra: Any) -> tuple[Tensor, list[Tensor]]:
    """The loss, and its gradient by each tensor of pred."""
    leaves, spec = tree_flatten(each(lambda x: x.detach().clone().requires_grad_(), pred))
    value = loss(tree_unflatten(leaves, spec), target, **extra)
    return value.detach(), list(torch.autograd.grad(value.sum(), leaves))


def of_samples(mask: Tensor, *values: float) -> Tensor:
    """A mask or weight map with one value for each sample."""
    return torch.tensor(values, dtype=torch.float64).view(-1, *[1] * (mask.ndim - 1)).expand(mask.shape)


def test_there_are_all_of_them() -> None:
    assert len(CONFIGS) >= 9 + 1 + 8 + 3 + 3 + 4 + 1 + 2 + 1


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("height", [0.0, 1e4, -1e4])
def test_finite_numbers_give_finite_numbers(cls: Any, dtype: torch.dtype, height: float) -> None:
    given, target, *_ = seen(cls, dtype)
    if cls is PoissonNLLLossCfg:
        height = min(height, 10.0)  # an exponential
    pred = each(lambda x: x.gt(0.5) * torch.tensor(height, dtype=dtype), given)
    alone = isinstance(target, dict) or cls is DFLossCfg
    others = [target] if alone else [target, each(lambda x: 1 - x, target), each(torch.neg, pred)]
    for other in others:
        for reduction in ("mean", "sum", "none"):
            value, grads = slopes(build(cls, reduction=reduction), pred, other)
            assert value.dtype == torch.float32
            assert bool(value.isfinite().all())
            assert all(bool(grad.isfinite().all()) for grad in grads)


@every
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_what_is_excluded_changes_nothing(cls: Any, reduction: Any) -> None:
    pred, target, mask, _ = seen(cls)
    loss, weights = build(cls, reduction=reduction), of_samples(mask, 0.0, 1.0)
    rest, rests = slopes(loss, each(lambda x: x[1:], pred), each(lambda x: x[1:], target))
    bad = each(lambda x: x.index_fill(0, torch.tensor([0]), torch.nan), pred)
    for extra in ({"mask": weights != 0}, {"weight_map": weights}, {"mask": weights, "weight_map": 1 - 0 * weights}):
        value, grads = slopes(loss, bad, target, **extra)
        if reduction == "none":
            assert not value[0].any()
            value = value[1:]
        torch.testing.assert_close(value, rest, rtol=1e-12, atol=1e-14)
        for grad, expected in zip(grads, rests, strict=True):
            assert torch.equal(grad[0], torch.zeros_like(grad[0]))
            torch.testing.assert_close(grad[1:], expected, rtol=1e-12, atol=1e-14)


@every
def test_a_weight_of_2_is_a_sample_that_is_there_twice(cls: Any) -> None:
    pred, target, mask, _ = seen(cls)
    if cls is OKSLossCfg:  # its weights are those of points within an instance
        assert build(cls)(pred, target, weight_map=of_samples(mask, 2.0, 1.0)) == build(cls)(pred, target)
        return
    twice = [each(lambda x: x[[0, 0, 1]], tree) for tree in (pred, target)]
    for reduction in ("mean", "sum"):
        loss = build(cls, reduction=reduction)
        value = loss(pred, target, weight_map=of_samples(mask, 2.0, 1.0))
        torch.testing.assert_close(value, loss(*twice), rtol=1e-12, atol=0)
    mean = build(cls)
    equal = mean(pred, target, weight_map=of_samples(mask, 3.0, 3.0))
    torch.testing.assert_close(equal, mean(pred, target), rtol=1e-12, atol=0)


@every
def test_parts_of_a_sum_are_its_terms(cls: Any) -> None:
    pred, target, *_ = seen(cls)
    mean, total, terms = (build(cls, reduction=how)(pred, target) for how in ("mean", "sum", "none"))
    torch.testing.assert_close(mean, terms.mean(), rtol=1e-12, atol=0)
    if cls is not TVLossCfg:
        torch.testing.assert_close(total, terms.sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["MSE", "Cosine", "AdaptiveWing", "OKS", "Style", "NSGAN", "SSIM", "TV"])
def test_a_loss_with_a_mask_is_one_graph(name: str) -> None:
    cls = next(cls for cls in CONFIGS if cls.__name__ == f"{name}LossCfg")
    pred, target, mask, _ = seen(cls)
    extra = {"mask": of_samples(mask, 0.0, 1.0) != 0, "weight_map": of_samples(mask, 1.0, 0.5)}
    torch.compiler.reset()
    compiled = torch.compile(build(cls), fullgraph=True, backend="eager")
    pairs = zip(slopes(compiled, pred, target, **extra), slopes(build(cls), pred, target, **extra), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


@every
def test_second_derivatives(cls: Any) -> None:
    pred, target, *_ = seen(cls)
    leaves, spec = tree_flatten(each(lambda x: x.requires_grad_(), pred))
    assert torch.autograd.gradgradcheck(lambda *xs: build(cls)(tree_unflatten(xs, spec), target), leaves)


@every
def test_what_is_seen_is_logged(cls: Any) -> None:
    pred, target, mask, _ = seen(cls)
    loss = build(cls)
    value = loss(pred, target)
    loss(pred, target, mask=mask)
    reading = loss.read(loss.states)["loss"]
    assert (reading.value, reading.n) == (pytest.approx(value.item(), rel=1e-12), 2)


SHARDS = ([2, 0], [1, 0, 1])


def scaled(cls: Any, rows: slice, sync: Any, reduction: Any) -> tuple[Tensor, Tensor]:
    """The loss of some samples, and its gradient by a parameter that all pass."""
    pred, target, *_ = seen(cls)
    scale = torch.tensor(1.25, dtype=torch.float64, requires_grad=True)
    value = build(cls, sync=sync, reduction=reduction)(
        each(lambda x: x[rows] * scale, pred), each(lambda x: x[rows], target)
    )
    return value.detach(), torch.autograd.grad(value, scale)[0]


def synced(rank: int, shards: list[int]) -> dict[Any, tuple[Tensor, Tensor]]:
    found = {}
    start = sum(shards[:rank])
    for cls in CONFIGS:
        for sync in ("mean", "sum"):
            for reduction in ("mean", "sum"):
                value, grad = scaled(cls, slice(start, start + shards[rank]), sync, reduction)
                c10d.all_reduce(grad)
                found[cls.__name__, sync, reduction] = value, grad / len(shards) if sync == "mean" else grad
    return found


@pytest.mark.parametrize("shards", SHARDS, ids=str)
def test_ranks_have_the_loss_and_gradient_of_one_process(shards: list[int]) -> None:
    whole = {(cls.__name__, how): scaled(cls, slice(0, 2), "none", how) for cls in CONFIGS for how in ("mean", "sum")}
    for rank in run_ranks(synced, len(shards), shards):
        assert len(rank) == 4 * len(CONFIGS)
        for (name, _, how), found in rank.items():
            for one, expected in zip(found, whole[name, how], strict=True):
                torch.testing.assert_close(one, expected, rtol=1e-9, atol=1e-12)


def test_losses_that_read_alike_share_what_they_read() -> None:
    view = View(*scene(ElementLossCfg, "multiclass")[:2])
    for cls in (L1LossCfg, MSELossCfg):
        build(cls).sums(view)
    assert len(view._made) == 1
