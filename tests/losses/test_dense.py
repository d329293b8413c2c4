"""What holds for every loss of logits and labels, whatever it computes: what counts, how much, in which form."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.losses import LossCfg, OverlapLossCfg
from tests.losses import reference as ref
from tests.losses.dense import (
    CHANNELS,
    EVERY,
    ONLY_LOGITS,
    by_pixels,
    by_size,
    changed,
    every,
    held,
    reads,
    slope,
    takes_shares,
    weights,
)

HOLDS = ("logits", "probs", "log_probs")
SIZES: list[tuple[int, ...]] = [(), (6,), (2, 3), (3, 2, 1)]


def batch(cfg: LossCfg[Any], *sizes: int, soft: bool = False, num: int = 2) -> tuple[Tensor, Tensor]:
    pred, target = ref.batch(3, num, CHANNELS[reads(cfg).task], *sizes, task=reads(cfg).task, soft=soft)
    return held(pred, cfg), target


def same(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> bool:
    return all(
        torch.allclose(one.reshape(two.shape), two, rtol=1e-10, atol=1e-14)
        for one, two in zip(found, expected, strict=True)
    )


def test_there_are_many() -> None:
    assert len({cfg.tag for cfg in EVERY.values()}) > 30
    assert len(EVERY) > 100


@every
@pytest.mark.parametrize("how", ["mask", "weight_map", "ignore_index"])
def test_junk_where_nothing_counts_changes_nothing(cfg: LossCfg[Any], how: str) -> None:
    turn = zlib.crc32(f"{cfg} {how}".encode())  # each sees some of the combinations, all see all of them
    holds, soft = HOLDS[turn % 3], bool(turn // 3 % 2) and takes_shares(cfg)
    if how == "ignore_index":
        cfg = changed(cfg, ignore_index=7)
    if reads(cfg).tag not in ONLY_LOGITS and "temperature=" not in repr(cfg):
        cfg = changed(cfg, holds=holds)
    task = reads(cfg).task
    pred, target = batch(cfg, 3, 4, soft=soft)
    out = torch.rand(target.shape, generator=torch.Generator().manual_seed(4)) < 0.4
    if soft and task == "multiclass":
        out = out[:, :1].expand_as(target)
    across = out.unsqueeze(1).expand_as(pred) if out.ndim < pred.ndim else out
    keep = ~out[:, :1] if soft and task == "multiclass" else ~out
    extra: dict[str, Any] = {"mask": keep} if how == "mask" else {"weight_map": keep.double()}
    if how == "ignore_index":
        target, extra = target.masked_fill(out, 7), {}
    loss = cfg.build()
    value, grad = slope(loss, pred, target, **extra)
    assert value.isfinite()
    assert bool(grad.any()) or cfg.tag == "HausdorffERLoss" or "alpha=0.0" in repr(cfg)  # eroded away; a constant
    for junk in (torch.nan, torch.inf, -1e30):
        other, slopes = slope(loss, pred.masked_fill(across, junk), target, **extra)
        assert torch.equal(other, value)
        assert torch.equal(slopes, grad)
        assert not slopes[across].any()
    if how != "ignore_index":
        junk = torch.nan if soft else 99
        assert same(slope(loss, pred, target.masked_fill(out, junk), **extra), (value, grad))


@every
def test_weights_of_pixels_and_classes(cfg: LossCfg[Any]) -> None:
    loss, size = changed(cfg, class_weights=weights(cfg)).build(), CHANNELS[reads(cfg).task]
    pred, target = batch(cfg, 5)
    value, grad = slope(loss, pred, target)
    twice = changed(cfg, class_weights=weights(cfg, 2.0)).build()
    if by_size(cfg):
        assert same(slope(twice, pred, target), (value, grad))
        assert same(slope(loss, pred, target, weight_map=torch.full((2, 5), 3.0)), (value, grad))
    if size > 1 and reads(cfg).task == "multilabel" and getattr(reads(cfg), "classes", None) is None:
        first = changed(cfg, class_weights=(1.0, 0.0, 0.0)).build()
        alone = changed(cfg, class_weights=None).build()
        if by_size(cfg) and cfg.tag != "HardestPixelsLoss":
            torch.testing.assert_close(first(pred, target), alone(pred[:, :1], target[:, :1]), rtol=1e-11, atol=1e-14)
        assert not slope(first, pred, target)[1][:, 1:].any()
    if by_pixels(cfg) and cfg.tag != "HardestPixelsLoss":
        double = torch.tensor([1.0, 2.0, 1.0, 0.0, 1.0], dtype=torch.float64).expand(2, 5)
        there = torch.tensor([0, 1, 1, 2, 4])
        found, expected = loss(pred, target, weight_map=double), loss(pred[..., there], target[..., there])
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


@every
def test_dimensions_labels_and_strides(cfg: LossCfg[Any]) -> None:
    loss, task = cfg.build(), reads(cfg).task
    dtypes = (torch.uint8, torch.int32, torch.int16, torch.uint16 if task == "multiclass" else torch.bool)
    for sizes, dtype in zip(SIZES, dtypes, strict=True):
        pred, target = batch(cfg, *sizes, num=4)
        found = slope(loss, pred, target)
        other = slope(loss, pred, target.to(dtype))
        assert torch.equal(other[0], found[0])
        assert torch.equal(other[1], found[1])
        if by_pixels(cfg):
            flat, labels = pred.reshape(4, pred.shape[1], -1), target.reshape(4, -1)
            assert same(found, slope(loss, flat, labels if task == "multiclass" else target.view_as(flat)))
        memory = {2: torch.channels_last, 3: torch.channels_last_3d}.get(len(sizes))
        last = torch.stack([pred, pred], -1)[..., 1] if memory is None else pred.contiguous(memory_format=memory)
        assert same(slope(loss, last, turned(target)), found)
        if len(sizes) == 1:
            assert same(slope(loss, turned(pred), target), found)


def turned(x: Tensor) -> Tensor:
    """The same numbers in another order of memory."""
    return x.transpose(0, -1).contiguous().transpose(0, -1)


@every
def test_reductions_are_of_the_same_terms(cfg: LossCfg[Any]) -> None:
    pred, target = batch(cfg, 2, 3)
    mask = torch.tensor([[True, True, False], [True, True, True]]).expand(2, 2, 3)
    each, total = (changed(cfg, reduction=how).build()(pred, target, mask=mask) for how in ("none", "sum"))
    size, task = pred.shape[1], reads(cfg).task
    if isinstance(cfg, OverlapLossCfg):
        assert each.shape == ((size,) if cfg.over == "batch" else (2, size))
    elif cfg.tag == "Surface2EdgeLoss":  # whose second part is a ratio of sums
        assert each.shape == (size,)
        return
    elif not by_pixels(cfg):
        assert each.shape == pred.shape
    else:
        assert each.shape == (pred.shape if task == "multilabel" else (2, 2, 3))
    torch.testing.assert_close(each.sum(), total, rtol=1e-11, atol=1e-14)
    if each.ndim > 2:
        assert not each[..., 0, 2].any()
